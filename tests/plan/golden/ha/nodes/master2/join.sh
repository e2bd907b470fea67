#!/usr/bin/env bash
# master2: joins the cluster through the virtual IP. The credential comes in the environment and is kept nowhere:
# JOIN_TOKEN, JOIN_CA_HASH, JOIN_CERTIFICATE_KEY.
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
# clean: take everything of an attempt that did not come to its end off this machine, so that the next one begins afresh.
# An apiserver left running would go on with certificates that no longer exist, so containers go first.
clean() {
  systemctl stop halab-kubeadm.service kubelet.service
  local id
  for id in $(ctr -n k8s.io tasks list -q); do ctr -n k8s.io tasks kill -s SIGKILL "$id" || echo "task $id was gone already"; done
  for id in $(ctr -n k8s.io tasks list -q); do ctr -n k8s.io tasks delete --force "$id" > /dev/null || echo "task $id was gone already"; done
  for id in $(ctr -n k8s.io containers list -q); do ctr -n k8s.io containers delete "$id" || echo "container $id was gone already"; done
  # The runtime keeps pods in memory: after their containers went behind its back it must read anew.
  systemctl restart containerd.service
  local mounted
  mounted=$(awk '$2 ~ "^/var/lib/kubelet/" {print $2}' /proc/self/mounts)
  for id in $mounted; do umount -l "$id"; done
  rm -rf /etc/kubernetes/manifests /etc/kubernetes/pki /etc/kubernetes/tmp /etc/kubernetes/*.conf
  local folder
  for folder in /var/lib/etcd /var/lib/kubelet; do
    [ ! -d "$folder" ] || find "$folder" -mindepth 1 -delete
  done
  # Last of all: a clean-up that is killed is begun again.
  rm -f /var/lib/halab/joined /var/lib/halab/began
}
# run_kubeadm: start the unit, or wait for the one that an interrupted run left going; show its journal when it fails.
run_kubeadm() {
  if ! systemctl start halab-kubeadm.service; then
    journalctl --unit halab-kubeadm.service --no-pager --output cat --lines 40 >&2
    rm -f /run/halab/kubeadm.yaml
    exit 1
  fi
  rm -f /run/halab/kubeadm.yaml
}

# One at a time: a script that an interrupted run left going comes to its end first.
exec 9> /run/halab/kubeadm.lock
flock 9
[ ! -e /var/lib/halab/joined ] || exit 0
mkdir -p /var/lib/halab
put /usr/local/lib/halab/kubeadm 0755 <<'EOF'
#!/bin/sh
set -eu
# Whoever started this may be gone when it ends: the credential goes with it all the same.
trap 'rm -f /run/halab/kubeadm.yaml' EXIT
kubeadm join --config /run/halab/kubeadm.yaml
# The mark of a member is the UID of the Node that the cluster made of this machine: none of another UID is this machine.
own_node() { kubectl --kubeconfig /etc/kubernetes/kubelet.conf --request-timeout 5s get node master2 "$@"; }
tries=0
until uid=$(own_node -o 'jsonpath={.metadata.uid}'); do
  tries=$((tries + 1))
  [ "$tries" -lt 30 ] || exit 1
  sleep 1
done
echo "$uid" > /var/lib/halab/joined
EOF
if [ "$(systemctl show -P ActiveState halab-kubeadm.service)" != activating ]; then
  systemctl stop halab-kubeadm.service
  [ ! -e /var/lib/halab/began ] || clean
  touch /var/lib/halab/began
  umask 077
  put /run/halab/kubeadm.yaml 0600 <<EOF
apiVersion: kubeadm.k8s.io/v1beta2
kind: JoinConfiguration
discovery:
  bootstrapToken:
    apiServerEndpoint: "10.21.0.100:16443"
    token: "${JOIN_TOKEN:?the join credential is missing}"
    caCertHashes: ["${JOIN_CA_HASH:?}"]
controlPlane:
  certificateKey: "${JOIN_CERTIFICATE_KEY:?}"
  localAPIEndpoint:
    advertiseAddress: 10.21.0.12
    bindPort: 6443
nodeRegistration:
  name: master2
  criSocket: /run/containerd/containerd.sock
  kubeletExtraArgs:
    node-ip: 10.21.0.12
  # Each is named: an error that is not on this list stops kubeadm.
  ignorePreflightErrors:
    - SystemVerification  # looks for the kernel's configuration under /lib/modules, which a container has not
    - FileContent--proc-sys-net-bridge-bridge-nf-call-iptables  # belongs to the host's kernel; kube-proxy masquerades without it
    - ImagePull  # CoreDNS's image is not part of the payload; the others are here already
    - Swap  # the kubelet is told failSwapOn: false
    - NumCPU
    - Mem
EOF
fi
run_kubeadm
