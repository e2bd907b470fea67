#!/usr/bin/env bash
# master1: keepalived, which gives the virtual IP to the best master whose haproxy is well.
set -euo pipefail

# put FILE [MODE]: make FILE say what standard input says; a file that says it already is not touched.
# changed: did any put of this script change anything?
PUT_CHANGED=no
put() {
  local file=$1 mode=${2:-0644} new
  mkdir -p "$(dirname "$file")"
  new=$(mktemp "$file.XXXXXX")
  cat > "$new"
  chmod "$mode" "$new"
  if [ -f "$file" ] && cmp -s "$new" "$file" && [ "$(stat -c %a "$file")" = "$(stat -c %a "$new")" ]; then
    rm "$new"
  else
    mv "$new" "$file"
    PUT_CHANGED=yes
  fi
}
changed() { [ "$PUT_CHANGED" = yes ]; }

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
  apt-get --quiet update < /dev/null
  apt-get --quiet --yes --no-install-recommends -o DPkg::Lock::Timeout=300 install "${missing[@]}" < /dev/null
fi
INSTALL

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
unit_changed=$PUT_CHANGED

config=$(mktemp)
cat > "$config" <<'EOF'
# keepalived on master1: who holds 10.21.0.100. Priorities of all masters: master1 254, master2 200, master3 100.

global_defs {
    router_id master1
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
    priority 254
    advert_int 0.2
    # Multicast is often filtered: each peer is told by itself.
    unicast_src_ip 10.21.0.11
    unicast_peer {
        10.21.0.12
        10.21.0.13
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

systemctl enable --quiet --no-reload keepalived.service
[ "$unit_changed" = no ] || systemctl daemon-reload
if changed; then systemctl restart keepalived.service; else systemctl start keepalived.service; fi
