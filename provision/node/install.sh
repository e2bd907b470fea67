#!/usr/bin/env bash
# Any machine of the lab, virtual or container: a fast sshd, a small journal, nothing that runs by itself at odd times.
# Run as root, in a box's chroot or on a running machine; running it again changes nothing.
set -euo pipefail

# A stock box lacks some of it; a box of our own has all, and nothing is downloaded.
packages=(
  systemd-sysv dbus openssh-server sudo iproute2 procps kmod curl iputils-ping net-tools busybox-static python3
  ca-certificates netbase openssl
)
missing=()
for package in "${packages[@]}"; do
  dpkg-query --show --showformat '${db:Status-Status}' "$package" 2> /dev/null | grep -qx installed || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get --quiet update < /dev/null
  apt-get --quiet --yes --no-install-recommends install "${missing[@]}" < /dev/null
fi

# sshd: no look-ups and no banners that cost a login time; one kind of host key, made at the machine's first start.
mkdir -p /etc/ssh/sshd_config.d /etc/systemd/system/ssh.service.d
cat > /etc/ssh/sshd_config.d/10-lab.conf << 'END'
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
cat > /etc/systemd/system/ssh.service.d/10-lab.conf << 'END'
[Service]
ExecStartPre=
ExecStartPre=/bin/sh -c 'test -s /etc/ssh/ssh_host_ed25519_key || exec ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key'
END
systemctl --quiet enable ssh.service

# What happened since the start, in memory and bounded: a lab writes much, and disks of labs are slow.
mkdir -p /etc/systemd/journald.conf.d
cat > /etc/systemd/journald.conf.d/10-lab.conf << 'END'
[Journal]
Storage=volatile
RuntimeMaxUse=32M
RateLimitIntervalSec=0
ForwardToSyslog=no
ForwardToConsole=no
Audit=no
END

# Nothing wakes up in the middle of a measurement.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
  fstrim.timer man-db.timer logrotate.timer; do
  systemctl --quiet mask "$unit"
done

echo 'LANG=C.UTF-8' > /etc/default/locale
# A stop waits no longer than this for a service that hangs (the default is 90 s).
mkdir -p /etc/systemd/system.conf.d
cat > /etc/systemd/system.conf.d/10-lab.conf << 'END'
[Manager]
DefaultTimeoutStopSec=15s
END
