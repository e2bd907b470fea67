#!/bin/sh
# Runs a command with a /sys that belongs to the network namespace it is in, and with the host's cgroups kept in place.
# Called in the lab's network namespace and in a mount namespace of its own, as root:
#   nsenter --net=FILE unshare --mount enter.sh COMMAND [ARG …]
# Why: with the host's /sys, programs see the host's network devices; with a fresh one alone, there is no
# /sys/fs/cgroup, and LXC either fails or runs its containers in the host's own cgroups.
set -eu
mount --rbind /sys/fs/cgroup /mnt
mount -t sysfs sysfs /sys
mount --rbind /mnt /sys/fs/cgroup
umount --lazy /mnt
exec "$@"
