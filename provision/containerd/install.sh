#!/usr/bin/env bash
# The container runtime: enabled, its configuration comes with the lab's own step. Running it again changes nothing.
set -euo pipefail

# A stock box lacks some of it; a box of our own has all, and nothing is downloaded.
packages=(containerd containernetworking-plugins)
missing=()
for package in "${packages[@]}"; do
  dpkg-query --show --showformat '${db:Status-Status}' "$package" 2> /dev/null | grep -qx installed || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get --quiet update < /dev/null
  apt-get --quiet --yes --no-install-recommends install "${missing[@]}" < /dev/null
fi

systemctl --quiet enable containerd.service
# Debian's unit loads the overlay module first; in a container that is the host's business and only fails.
mkdir -p /etc/systemd/system/containerd.service.d
cat > /etc/systemd/system/containerd.service.d/10-lab.conf << 'END'
[Service]
ExecStartPre=
END
