#!/usr/bin/env bash
# worker1: Kubernetes' programs, the kubelet's unit.
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

for program in kubeadm kubelet kubectl crictl; do
  [ "$(readlink "/usr/local/bin/$program")" = "/opt/payload/bin/$program" ] ||
    ln -sf "/opt/payload/bin/$program" "/usr/local/bin/$program"
done

put /etc/systemd/system/kubelet.service <<'EOF'
[Unit]
Description=The Kubernetes node agent
After=containerd.service halab-boot.service
Wants=containerd.service
StartLimitIntervalSec=0

[Service]
# The two files are kubeadm's: before init or join there is nothing to run (kubeadm starts this unit itself).
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=/usr/local/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
EOF

# kubeadm runs as a unit: it outlives the connection that started it, and a second start finds the first one.
put /etc/systemd/system/halab-kubeadm.service <<'EOF'
[Unit]
Description=kubeadm: this machine becomes a member of the cluster
After=containerd.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
Environment=HOME=/root
ExecStart=/usr/local/lib/halab/kubeadm
EOF
if changed; then systemctl daemon-reload; fi
systemctl enable --quiet --no-reload kubelet.service
