#!/bin/sh
# Holds a mount namespace open in which libvirt finds folders of its own: hold.sh STATE RUN CAPABILITIES
# Called by root in the lab's network namespace, in a mount namespace of its own:
#   nsenter --net=FILE unshare --mount --propagation slave hold.sh …
# Why: libvirt's paths are compiled in. With these mounts a second daemon, its images and its sockets cannot meet the host's.
set -eu
state=$1 run=$2 capabilities=$3

# The namespace's own network devices in /sys, the host's cgroups kept in place.
mount --rbind /sys/fs/cgroup /mnt
mount -t sysfs sysfs /sys
mount --rbind /mnt /sys/fs/cgroup
umount --lazy /mnt

over() {
  mkdir -p "$1" "$2"
  mount --bind "$1" "$2"
}
over "$state/etc" /etc/libvirt
over "$state/lib" /var/lib/libvirt
over "$state/log" /var/log/libvirt
over "$capabilities" /var/cache/libvirt
over "$run" /run/libvirt

# libvirt does not start unless the user and group that it was compiled for exist, although its configuration here names
# others. Debian makes them only together with a system-wide service, which a private daemon does without.
for file in passwd group; do
  cp "/etc/$file" "$state/$file"
  chmod 644 "$state/$file"
done
getent passwd libvirt-qemu >/dev/null || echo 'libvirt-qemu:x:64055:64055::/:/usr/sbin/nologin' >> "$state/passwd"
getent group libvirt-qemu >/dev/null || echo 'libvirt-qemu:x:64055:' >> "$state/group"
mount --bind "$state/passwd" /etc/passwd
mount --bind "$state/group" /etc/group

echo ready
exec sleep infinity >/dev/null 2>&1
