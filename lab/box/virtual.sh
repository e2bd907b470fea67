#!/usr/bin/env bash
# Only for virtual machines, which have a kernel and devices of their own. Run as root in the box's chroot.
# The aim beside a working machine: few processor cycles from power-on to ssh, because emulated machines have none to spare.
set -euo pipefail

# eth0 is Vagrant's: its address comes from the hypervisor's DHCP. eth1 is the lab's: the node's own step sets it.
mkdir -p /etc/systemd/network /etc/systemd/networkd.conf.d
cat > /etc/systemd/network/10-management.network << 'EOF'
[Match]
Name=eth0
[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no
[DHCPv4]
ClientIdentifier=mac
UseHostname=no
UseNTP=no
EOF
cat > /etc/systemd/networkd.conf.d/10-lab.conf << 'EOF'
[Network]
# The virtual IP and the routes to the pods are not networkd's to remove.
ManageForeignRoutes=no
ManageForeignRoutingPolicyRules=no
EOF
systemctl --quiet enable systemd-networkd.service
: > /etc/resolv.conf

# Only what the machine uses is looked for: every further device costs a driver's start.
mkdir -p /etc/systemd/system/systemd-udev-trigger.service.d
cat > /etc/systemd/system/systemd-udev-trigger.service.d/10-lab.conf << 'EOF'
[Service]
ExecStart=
ExecStart=-udevadm trigger --type=devices --action=add --subsystem-match=net --subsystem-match=input --subsystem-match=block
EOF

unused=(
  systemd-networkd-wait-online.service systemd-network-generator.service systemd-timesyncd.service networking.service
  systemd-udev-settle.service systemd-hwdb-update.service systemd-pstore.service systemd-boot-system-token.service
  modprobe@drm.service modprobe@fuse.service modprobe@configfs.service modprobe@dm_mod.service modprobe@loop.service
  sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount
  proc-sys-fs-binfmt_misc.automount
  getty.target getty@.service serial-getty@.service
  systemd-ask-password-console.path systemd-ask-password-wall.path
  systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-firstboot.service
  systemd-machine-id-commit.service systemd-journal-flush.service systemd-journal-catalog-update.service
  systemd-update-done.service systemd-sysusers.service ldconfig.service systemd-tmpfiles-clean.timer
)
for unit in "${unused[@]}"; do
  ln -sf /dev/null "/etc/systemd/system/$unit"
done
systemctl --quiet set-default multi-user.target
# Scripts of another init system beside units of the same name: "systemctl enable" would call Perl for each of them.
rm -f /etc/init.d/* /etc/rc?.d/*

# Nothing is found out anew at each start and each reload of systemd: there are no more devices, swaps or old init scripts.
mkdir -p /etc/systemd/system-generators
for generator in /usr/lib/systemd/system-generators/*; do
  ln -sf /dev/null "/etc/systemd/system-generators/$(basename "$generator")"
done

# The initial ram disk: drivers for disk, network and random numbers, and one script. The distribution's own starts udev
# and looks for every device there could be, which takes an emulated machine as long as all the rest of its start.
version=$(basename "$(echo /lib/modules/*)")
build=$(mktemp -d)
mkdir -p "$build"/{bin,dev,proc,root,modules}
cp /bin/busybox "$build/bin/busybox"
# A small archive does not pay for its decompression: modules go in as they are, in the order in which they are loaded.
: > "$build/order"
for module in virtio_pci virtio_blk virtio_net virtio_rng ext4 button evdev; do # the last two: the power button
  modprobe --set-version "$version" --show-depends "$module" > "$build/depends"
  while read -r kind file _; do
    [ "$kind" = insmod ] || continue # "builtin" needs no file
    grep -qx "$(basename "$file")" "$build/order" && continue
    cp "$file" "$build/modules/"
    basename "$file" >> "$build/order"
  done < "$build/depends"
done
cat > "$build/init" << 'EOF'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
while read -r module; do /bin/busybox insmod "/modules/$module"; done < /order
tries=0
until why=$(/bin/busybox mount -t ext4 -o rw,noatime /dev/vda2 /root 2>&1); do
  tries=$((tries + 1))
  if [ "$tries" -gt 1200 ]; then
    /bin/busybox dmesg | /bin/busybox tail -n 30
    echo "no root file system on /dev/vda2: $why"
    /bin/busybox ls -l /dev/vd* /modules
    /bin/busybox poweroff -f
  fi
  /bin/busybox usleep 100000
done
/bin/busybox umount /proc
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
EOF
chmod 0755 "$build/init"
(cd "$build" && find . | cpio --quiet --create --format=newc) > /boot/lab-initrd.img
rm -r "$build"
rm /boot/initrd.img-*
cp "/boot/vmlinuz-$version" /boot/lab-vmlinuz

# The root file system is mounted by then, and nothing else is.
: > /etc/fstab
echo localhost > /etc/hostname
: > /etc/machine-id
rm -f /var/lib/dbus/machine-id
printf '127.0.0.1 localhost\n::1 localhost\n' > /etc/hosts
rm -f /etc/ssh/ssh_host_*
