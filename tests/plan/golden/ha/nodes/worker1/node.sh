#!/usr/bin/env bash
# worker1: name, neighbours, and what must be true again after every restart.
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

put /etc/hostname <<'EOF'
worker1
EOF
[ "$(hostname)" = worker1 ] || hostname worker1

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

mkdir -p /usr/local/lib/halab
put /usr/local/lib/halab/boot 0755 <<'EOF'
#!/bin/sh
# Run at every boot before the container runtime.
set -eu
# kubelet hands mounts to pods and back, which needs shared propagation.
mount --make-rshared /
sysctl -q -w net.ipv4.ip_forward=1
# The pod network: each node's pods behind that node.
ip route replace 10.244.0.0/24 via 10.21.0.11
ip route replace 10.244.1.0/24 via 10.21.0.12
ip route replace 10.244.2.0/24 via 10.21.0.13
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
if changed; then systemctl daemon-reload; fi
systemctl enable --quiet --no-reload halab-boot.service
if changed; then systemctl restart halab-boot.service; else systemctl start halab-boot.service; fi
