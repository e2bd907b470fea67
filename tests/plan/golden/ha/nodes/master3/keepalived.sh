#!/usr/bin/env bash
# master3: keepalived, which gives the virtual IP to the best master whose haproxy is well.
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

bash -s <<'INSTALL'
#!/usr/bin/env bash
# keepalived from the distribution. Run as root, in a box's chroot or on a running machine; changes nothing when it is there.
set -euo pipefail

# A stock box lacks some of it; a box of our own has all: one look at dpkg's records, and nothing is downloaded.
packages=(keepalived iproute2 curl)
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
INSTALL

UNIT=keepalived.service
put /etc/keepalived/haproxy-alive 0755 <<'EOF'
#!/bin/bash
# Is this master's haproxy alive? It is when it answers or closes a connection within 1 s. It is not when the
# connection is refused (nobody listens), nor when there is silence (it hangs: the kernel alone still accepts).
# 127.0.0.127 is the address at which haproxy is told to close at once, so no apiserver is asked.
if exec 3<> /dev/tcp/127.0.0.127/16443; then
  read -r -t 1 -n 1 -u 3
  # Above 128: the time ran out. Anything else: it said something or closed.
  [ $? -le 128 ]
else
  # On a busy machine haproxy may close before this side knows that it is connected, which looks like a refusal here.
  [ -n "$(ss --no-header --numeric --tcp --listening 'sport = :16443')" ]
fi
EOF

put /etc/systemd/system/keepalived.service.d/halab.conf <<'EOF'
[Unit]
After=halab-boot.service

[Service]
# A keepalived that was killed leaves the virtual IP behind; the next one takes it off or goes on.
Restart=always
RestartSec=1
EOF

config=/run/halab/keepalived.conf
cat > "$config" <<'EOF'
# keepalived on master3: who holds 10.21.0.100. Priorities of all masters: master1 254, master2 200, master3 100.

global_defs {
    router_id master3
    vrrp_version 3
    # The scripts lie where only root can write. (As another user, `keepalived -t` of this version ends itself.)
    script_user root
    enable_script_security
    # How the others learn of a move; the reminders repair an announcement that was lost.
    vrrp_garp_master_repeat 3
    vrrp_garp_master_delay 1
    vrrp_garp_master_refresh 2
}

# haproxy's unit writes 0 here when it serves and 1 when it is gone. Until it has, it counts as gone.
vrrp_track_file haproxy_down {
    file "/run/halab/haproxy-down"
    weight 0
    init_file 1
}

# The truth check: a haproxy that runs but reacts no more is noticed too.
vrrp_script haproxy_alive {
    script "/etc/keepalived/haproxy-alive"
    interval 1
    timeout 1
    fall 2
    rise 1
    weight 0
}

vrrp_instance kubernetes {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 0.2
    # Multicast is often filtered: each peer is told by itself. Nobody else's word counts.
    check_unicast_src
    unicast_src_ip 10.21.0.13
    unicast_peer {
        10.21.0.11
        10.21.0.12
    }
    virtual_ipaddress {
        10.21.0.100/32
    }
    track_file {
        haproxy_down
    }
    track_script {
        haproxy_alive
    }
}
EOF
# Judged before it replaces the one in use.
keepalived --config-test --use-file "$config"
put /etc/keepalived/keepalived.conf < "$config"
rm "$config"
rm -f /etc/keepalived/haproxy-check

apply restart
