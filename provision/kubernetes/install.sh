#!/usr/bin/env bash
# The folders in which kubeadm and the kubelet expect to find or put things. Running it again changes nothing.
set -euo pipefail

# A stock box lacks some of it; a box of our own has all, and nothing is downloaded.
packages=(conntrack ebtables ethtool ipset iptables socat mount util-linux)
missing=()
for package in "${packages[@]}"; do
  dpkg-query --show --showformat '${db:Status-Status}' "$package" 2> /dev/null | grep -qx installed || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get --quiet update < /dev/null
  apt-get --quiet --yes --no-install-recommends install "${missing[@]}" < /dev/null
fi

mkdir -p /etc/kubernetes/manifests /opt/payload /usr/libexec/kubernetes/kubelet-plugins/volume/exec
