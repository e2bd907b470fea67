#!/usr/bin/env bash
# master2: name, neighbours, and what must be true again after every restart.
set -euo pipefail

# The files of a step, and the unit that reads them. What the unit has not taken in yet is remembered on the machine before
# it changes, so that a step which is killed leaves it to its next run; and under /run, because a machine that itself stops
# and starts begins with the files as they are.

# UNIT: whose files are put from here on; "" where nothing that runs reads them.
UNIT=

# put FILE [MODE]: make FILE say what standard input says; a file that says it already is not touched.
put() {
  local file=$1 mode=${2:-0644} new=${1%/*}/.${1##*/}.new text='' old=''
  IFS= read -r -d '' text || :
  [ ! -f "$file" ] || IFS= read -r -d '' old < "$file" || :
  if [ "$text" = "$old" ] && [ "0$(stat -c %a "$file")" = "$mode" ]; then return; fi
  mkdir -p "${file%/*}"
  rm -f "$new"
  (umask 077 && printf '%s' "$text" > "$new")
  chmod "$mode" "$new"
  # Not even a power cut shall leave an empty file. (A container's pages are the host's and outlive it.)
  systemd-detect-virt --quiet --container || sync "$new"
  changing "$file"
  mv "$new" "$file"
}

# changing FILE: a file of UNIT's is about to change.
changing() {
  if [ -z "$UNIT" ] || [ ! -d /run/systemd/system ]; then return; fi
  mkdir -p /run/halab/changed
  echo "$1" >> "/run/halab/changed/$UNIT"
}

# changed [PATH]: has a file of UNIT's (below PATH) changed since UNIT took its files in?
changed() { grep -qs "^${1:-/}" "/run/halab/changed/$UNIT"; }

# reload_units: have systemd read its units again when one of UNIT's files is of that kind.
reload_units() {
  if changed /etc/systemd/system; then systemctl daemon-reload; fi
}

# taken_in: UNIT runs with its files as they are, or will when it is started.
taken_in() { rm -f "/run/halab/changed/$UNIT"; }

# apply restart | reload: UNIT starts with the machine and runs now, with its files as they are. A reload is enough when
# nothing changed in what systemd itself reads.
apply() {
  local how=restart
  systemctl enable --quiet --no-reload "$UNIT"
  reload_units
  if ! changed; then
    how=start
  elif [ "$1" = reload ] && ! changed /etc/systemd/system; then
    how=reload-or-restart
  fi
  # systemctl tells that a unit failed; why it did, its journal tells.
  systemctl "$how" "$UNIT" || { journalctl --unit "$UNIT" --lines 12 --output cat --no-pager >&2; return 1; }
  taken_in
}

# shellcheck disable=SC2016
bash -s <<'INSTALL'
#!/usr/bin/env bash
# Any machine of the lab, virtual or container: a fast sshd, a small journal, nothing that runs by itself at odd times.
# Run as root, in a box's chroot or on a running machine; running it again changes nothing.
set -euo pipefail

# Nothing wakes up in the middle of a measurement, or holds apt's lock when this machine needs it.
timers=()
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
  fstrim.timer man-db.timer logrotate.timer; do
  [ "/etc/systemd/system/$unit" -ef /dev/null ] || timers+=("$unit")
done
if [ -n "${timers[*]}" ]; then
  systemctl --quiet mask "${timers[@]}"
  # A stock box has started them, and apt's own run of the first minutes may be under way.
  if [ -d /run/systemd/system ]; then
    for unit in "${timers[@]}" apt-daily.service apt-daily-upgrade.service; do
      case $(systemctl show -P ActiveState "$unit") in active | activating) systemctl stop "$unit" ;; esac
    done
  fi
fi

# A stock box lacks some of it; a box of our own has all: one look at dpkg's records, and nothing is downloaded.
packages=(
  systemd-sysv dbus openssh-server sudo iproute2 procps kmod curl iputils-ping net-tools busybox-static python3
  ca-certificates netbase openssl
)
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
untold=/run/halab-node-untold
write() {
  local old='' new
  IFS= read -r -d '' new || :
  [ ! -f "$1" ] || IFS= read -r -d '' old < "$1" || :
  [ "$old" != "$new" ] || return 0
  [ ! -d /run/systemd/system ] || : > "$untold"
  mkdir -p "${1%/*}"
  printf '%s' "$new" > "$1"
}

# sshd: no look-ups and no banners that cost a login time; one kind of host key, made at the machine's first start.
write /etc/ssh/sshd_config.d/10-lab.conf << 'END'
HostKey /etc/ssh/ssh_host_ed25519_key
UseDNS no
GSSAPIAuthentication no
PasswordAuthentication no
PrintMotd no
PrintLastLog no
X11Forwarding no
# One connection carries all probes of a machine.
MaxSessions 100
MaxStartups 100
END
write /etc/systemd/system/ssh.service.d/10-lab.conf << 'END'
[Service]
ExecStartPre=
ExecStartPre=/bin/sh -c 'test -s /etc/ssh/ssh_host_ed25519_key || exec ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key'
END
wants=/etc/systemd/system/multi-user.target.wants
[ -e "$wants/ssh.service" ] || systemctl --quiet enable ssh.service

# What happened since the start, in memory and bounded: a lab writes much, and disks of labs are slow.
write /etc/systemd/journald.conf.d/10-lab.conf << 'END'
[Journal]
Storage=volatile
RuntimeMaxUse=32M
RateLimitIntervalSec=0
ForwardToSyslog=no
ForwardToConsole=no
Audit=no
END

write /etc/default/locale << 'END'
LANG=C.UTF-8
END
# A stop waits no longer than this for a service that hangs (the default is 90 s).
write /etc/systemd/system.conf.d/10-lab.conf << 'END'
[Manager]
DefaultTimeoutStopSec=15s
END

# A stock box runs with its own settings until it is told; connections that are open stay open.
if [ -e "$untold" ]; then
  systemctl daemon-reload
  systemctl try-restart systemd-journald.service ssh.service
  rm "$untold"
fi
INSTALL

put /etc/hostname <<'EOF'
master2
EOF
[ "$(hostname)" = master2 ] || hostname master2

# No name may resolve to 127.0.1.1: kubelet and etcd would advertise it.
put /etc/hosts <<'EOF'
127.0.0.1 localhost
::1 localhost ip6-localhost
10.21.0.11 master1
10.21.0.12 master2
10.21.0.13 master3
10.21.0.14 worker1
10.21.0.100 vip.ha.lab
EOF

put /etc/tmpfiles.d/halab.conf <<'EOF'
d /run/halab 0755 root root -
EOF
systemd-tmpfiles --create /etc/tmpfiles.d/halab.conf

UNIT=halab-boot.service
put /usr/local/lib/halab/boot 0755 <<'EOF'
#!/bin/sh
# Run at every boot before the container runtime.
set -eu
# kubelet hands mounts to pods and back, which needs shared propagation.
mount --make-rshared /
sysctl -q -w net.ipv4.ip_forward=1
# The pod network: each node's pods behind that node.
ip route replace 10.244.0.0/24 via 10.21.0.11
ip route replace 10.244.2.0/24 via 10.21.0.13
ip route replace 10.244.3.0/24 via 10.21.0.14
EOF

put /etc/systemd/system/halab-boot.service <<'EOF'
[Unit]
Description=What this lab machine needs after every start
DefaultDependencies=no
After=local-fs.target network.target
Before=containerd.service kubelet.service haproxy.service keepalived.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/lib/halab/boot

[Install]
WantedBy=multi-user.target
EOF
apply restart
