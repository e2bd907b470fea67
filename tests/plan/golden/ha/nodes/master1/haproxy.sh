#!/usr/bin/env bash
# master1: haproxy, and a file that says at every moment whether it runs.
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
  # What a killed installation left half-way stops the next one; where this fails, apt says why.
  dpkg --configure --pending < /dev/null || :
  apt-get --quiet update < /dev/null
  apt-get --quiet --yes --no-install-recommends -o DPkg::Lock::Timeout=300 install "${missing[@]}" < /dev/null
fi
INSTALL

UNIT=haproxy.service
# The event that keepalived waits for: 0 as soon as haproxy serves, 1 as soon as it is gone, however it went.
put /etc/systemd/system/haproxy.service.d/halab.conf <<'EOF'
[Service]
ExecStartPost=/bin/sh -c 'echo 0 > /run/halab/haproxy-down'
ExecStopPost=/bin/sh -c 'echo 1 > /run/halab/haproxy-down'
EOF

config=/run/halab/haproxy.cfg
cat > "$config" <<'EOF'
# haproxy on master1: one door to all apiservers, the same on every master. The VIP decides whose door is used.

global
    log /dev/log local0 info
    user haproxy
    group haproxy
    chroot /var/lib/haproxy
    # A hundred more than the frontend has: the truth check is let in even when clients have taken all of theirs.
    maxconn 4100
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
    maxconn 4000
    default_backend apiservers

# keepalived's truth check knocks here: haproxy closes at once, whatever its backends do and however many clients wait.
frontend alive
    bind 127.0.0.127:16443
    tcp-request connection reject

backend apiservers
    balance roundrobin
    option httpchk GET /readyz
    http-check expect status 200
    option log-health-checks
    # A machine that vanished refuses nothing: silent streams to it are probed, and end 8 s after its last word.
    # (`on-marked-down shutdown-sessions` ends every stream when an election of etcd turns /readyz red for a moment.)
    option srvtcpka
    srvtcpka-idle 5s
    srvtcpka-intvl 1s
    srvtcpka-cnt 3
    # tcp-ut is the same for data on its way, which the kernel repeats for a quarter of an hour. (As default it does nothing in 2.6.)
    default-server check check-ssl verify none inter 200ms fall 2 rise 2
    server master1 10.21.0.11:6443 tcp-ut 8s
    server master2 10.21.0.12:6443 tcp-ut 8s
    server master3 10.21.0.13:6443 tcp-ut 8s
EOF
# Judged before it replaces the one in use.
haproxy -c -q -f "$config"
put /etc/haproxy/haproxy.cfg < "$config"
rm "$config"

# A reload keeps the port open and the VIP where it is.
apply reload
