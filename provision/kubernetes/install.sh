#!/usr/bin/env bash
# What kubeadm and the kubelet call, and the folders in which they expect to find or put things. Run as root, in a box's
# chroot or on a running machine; running it again changes nothing.
set -euo pipefail

# A stock box lacks some of it; a box of our own has all: one look at dpkg's records, and nothing is downloaded.
packages=(conntrack ebtables ethtool ipset iptables socat mount util-linux)
have=" $(dpkg-query --show --showformat '${db:Status-Status}:${Package} ' "${packages[@]}" 2> /dev/null || :)"
missing=()
for package in "${packages[@]}"; do
  [[ $have == *" installed:$package "* ]] || missing+=("$package")
done
if [ -n "${missing[*]}" ]; then
  export DEBIAN_FRONTEND=noninteractive
  # What a killed installation left half-way stops the next one; where this fails, apt says why.
  dpkg --configure --pending < /dev/null || :
  apt-get --quiet update < /dev/null
  apt-get --quiet --yes --no-install-recommends -o DPkg::Lock::Timeout=300 install "${missing[@]}" < /dev/null
fi

mkdir -p /etc/kubernetes/manifests /opt/payload /usr/libexec/kubernetes/kubelet-plugins/volume/exec
