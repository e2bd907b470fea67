#!/usr/bin/env bash
# master3: Kubernetes' programs, the kubelet's unit and what the apiserver writes down.
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
# What kubeadm and the kubelet call, and the folders in which they expect to find or put things. Run as root, in a box's
# chroot or on a running machine; running it again changes nothing.
set -euo pipefail

# A stock box lacks some of it; a box of our own has all: one look at dpkg's records, and nothing is downloaded.
packages=(conntrack ebtables ethtool ipset iptables socat mount util-linux)
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

mkdir -p /etc/kubernetes/manifests /opt/payload /usr/libexec/kubernetes/kubelet-plugins/volume/exec
INSTALL

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

put /etc/kubernetes/lab/audit-policy.yaml 0600 <<'EOF'
# Who wrote pods, through which apiserver: the case api-spread counts these lines. One stage, or each request counts twice.
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted, Panic]
rules:
  - level: Metadata
    verbs: [create, update, patch, delete]
    resources:
      - group: ""
        resources: [pods]
  - level: None
EOF
mkdir -p /var/log/kubernetes/audit
chmod 0700 /var/log/kubernetes/audit

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
