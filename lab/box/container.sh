#!/usr/bin/env bash
# Only for machines that are containers, and only because they share the host's kernel: what would change the host, wait for
# hardware that is not there, or cost time at the start. Run as root in the box's chroot.
set -euo pipefail

# Writes host-wide kernel settings, loads modules into the host's kernel, sends events to its devices, mounts its switches.
host=(
  systemd-sysctl.service systemd-modules-load.service systemd-binfmt.service systemd-random-seed.service
  systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service
  systemd-udev-settle.service systemd-hwdb-update.service systemd-pstore.service kmod-static-nodes.service
  modprobe@.service systemd-remount-fs.service systemd-boot-system-token.service
  proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount
  sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount
  dev-hugepages.mount
)
# LXC has set the address before the first process runs: nothing configures the network, nothing may wait for it.
network=(
  systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service systemd-network-generator.service
  systemd-timesyncd.service networking.service
)
# No console, no seat, no log-in sessions; nothing to prepare at a first start.
start=(
  getty.target getty@.service console-getty.service container-getty@.service serial-getty@.service
  systemd-ask-password-console.path systemd-ask-password-wall.path
  systemd-logind.service systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-firstboot.service
  systemd-machine-id-commit.service systemd-journal-flush.service systemd-journal-catalog-update.service
  systemd-update-done.service systemd-sysusers.service ldconfig.service systemd-tmpfiles-clean.timer
)
for unit in "${host[@]}" "${network[@]}" "${start[@]}"; do
  ln -sf /dev/null "/etc/systemd/system/$unit"
done

# The host's kernel log is shared by all machines: none of them copies it into its own journal.
cat > /etc/systemd/journald.conf.d/20-container.conf << 'END'
[Journal]
ReadKMsg=no
END

# The address is there before systemd is, so the network counts as online from the start.
systemctl --quiet set-default multi-user.target

# LXC names the machine; each makes its own id.
rm -f /etc/hostname
: > /etc/machine-id
rm -f /var/lib/dbus/machine-id
: > /etc/resolv.conf
printf '127.0.0.1 localhost\n::1 localhost\n' > /etc/hosts
: > /etc/fstab
rm -f /etc/ssh/ssh_host_*
