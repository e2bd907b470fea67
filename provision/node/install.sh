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
