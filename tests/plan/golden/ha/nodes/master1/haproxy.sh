#!/usr/bin/env bash
# master1: haproxy, and a file that says at every moment whether it runs.
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

# shellcheck disable=SC2016
bash -s <<'INSTALL'
#!/usr/bin/env bash
# haproxy from the distribution. Run as root, in a box's chroot or on a running machine; changes nothing when it is there.
set -euo pipefail

# A stock box lacks some of it; a box of our own has all: one look at dpkg's records, and nothing is downloaded.
packages=(haproxy)
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

# The event that keepalived waits for: 0 as soon as haproxy serves, 1 as soon as it is gone, however it went.
put /etc/systemd/system/haproxy.service.d/halab.conf <<'EOF'
[Service]
ExecStartPost=/bin/sh -c 'echo 0 > /run/halab/haproxy-down'
ExecStopPost=/bin/sh -c 'echo 1 > /run/halab/haproxy-down'
EOF
unit_changed=$PUT_CHANGED

config=$(mktemp)
cat > "$config" <<'EOF'
# haproxy on master1: one door to all apiservers, the same on every master. The VIP decides whose door is used.

global
    log /dev/log local0 info
    user haproxy
    group haproxy
    chroot /var/lib/haproxy
    maxconn 4000
    # `show stat` and friends, for root and haproxy's group only; there is no stats page.
    stats socket /run/haproxy/admin.sock mode 660 level admin
    stats timeout 30s

defaults
    # TLS goes through untouched: clients and apiservers prove themselves to each other, not to haproxy.
    mode tcp
    log global
    option tcplog
    # Only what went wrong: a line for every good connection would drown it.
    option dontlog-normal
    timeout connect 250ms
    timeout check 500ms
    timeout client 60000ms
    timeout server 60000ms
    # Replaces both once data has flowed: `kubectl logs -f`, `exec` and watches may be silent for long.
    timeout tunnel 86400000ms
    retries 3
    # An apiserver that refuses is a reason to ask another one, inside the same client connection.
    option redispatch 1

frontend kubernetes
    bind *:16443
    # keepalived's truth check knocks at 127.0.0.127: haproxy itself closes at once, whatever its backends do.
    tcp-request connection reject if { dst 127.0.0.127 }
    default_backend apiservers

backend apiservers
    balance roundrobin
    option httpchk GET /readyz
    http-check expect status 200
    option log-health-checks
    default-server check check-ssl verify none inter 200ms fall 2 rise 2
    server master1 10.21.0.11:6443
    server master2 10.21.0.12:6443
    server master3 10.21.0.13:6443
EOF
# Judged before it replaces the one in use.
haproxy -c -q -f "$config"
put /etc/haproxy/haproxy.cfg < "$config"
rm "$config"

systemctl enable --quiet --no-reload haproxy.service
if [ "$unit_changed" = yes ]; then
  systemctl daemon-reload
  systemctl restart haproxy.service
elif changed; then
  # A reload keeps the port open and the VIP where it is.
  systemctl reload-or-restart haproxy.service
else
  systemctl start haproxy.service
fi
