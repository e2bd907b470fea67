#!/bin/sh
# kernel.sh FOLDER: what machines in containers need of the kernel, tried in network, mount and process namespaces that
# the caller made; all of it ends with them. Says "WHAT: WHY" for each that fails. FOLDER is an empty one, on the file
# system that will hold the machines.
folder=$1

try() {
  what=$1
  shift
  said=$("$@" 2>&1) || printf '%s: %s\n' "$what" "$(printf %s "$said" | tail -n 1)"
}

try bridge ip link add br0 type bridge
try veth ip link add ve0 type veth peer name ve1
cd "$folder" && mkdir lower upper work merged
try overlay mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged
