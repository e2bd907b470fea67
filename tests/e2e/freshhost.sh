#!/bin/sh
# Process 1 of a fresh host: freshhost.sh ROOT [FOLDER …]. Called in mount, process, host name and IPC namespaces of its own.
# ROOT becomes "/"; each FOLDER is this machine's own, at the same place. Processes, mounts and /run end with it.
set -eu
root=$1
shift
hostname fresh
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
# Devices, network cards and control groups are the kernel's, of which there is only one.
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
for folder; do
  mkdir -p "$root$folder"
  mount --bind "$folder" "$root$folder"
done
cd "$root"
pivot_root . .
umount --lazy .
cd /
echo ready
# The shell takes note of every process whose parent has ended, as long as it waits.
sleep infinity &
wait
