#!/usr/bin/env bash
# The container runtime: enabled, its configuration comes with the lab's own step. Run as root, in a box's chroot or on a
# running machine; running it again changes nothing.
set -euo pipefail

# A stock box lacks some of it; a box of our own has all: one look at dpkg's records, and nothing is downloaded.
packages=(containerd containernetworking-plugins)
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

# write FILE: make FILE say what standard input says; no process is needed to see that it does already. That a running
# machine has not been told yet outlives a script that is killed, and not a restart of the machine, which tells it.
untold=/run/halab-containerd-untold
write() {
  local old='' new
  IFS= read -r -d '' new || :
  [ ! -f "$1" ] || IFS= read -r -d '' old < "$1" || :
  [ "$old" != "$new" ] || return 0
  [ ! -d /run/systemd/system ] || : > "$untold"
  mkdir -p "${1%/*}"
  printf '%s' "$new" > "$1"
}

wants=/etc/systemd/system/multi-user.target.wants
[ -e "$wants/containerd.service" ] || systemctl --quiet enable containerd.service
# Debian's unit loads the overlay module first; in a container that is the host's business and only fails.
write /etc/systemd/system/containerd.service.d/10-lab.conf << 'END'
[Service]
ExecStartPre=
END
if [ -e "$untold" ]; then
  systemctl daemon-reload
  rm "$untold"
fi
