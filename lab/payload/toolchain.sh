#!/bin/sh
# toolchain.sh ROOT WORK COMMAND [ARG …]: runs COMMAND with the root file system ROOT made ready for work in it: all of it
# read-only but WORK, which is found there as /work. The caller made a mount namespace, with which all of this ends.
set -eu
root=$1 work=$2
shift 2
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount --bind "$work" "$root/work"
mount -o remount,bind,ro "$root"
exec "$@"
