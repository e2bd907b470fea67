#!/usr/bin/env bash
# master2: joins the cluster through the virtual IP. The credential comes in the environment and is kept nowhere:
# JOIN_TOKEN, JOIN_CA_HASH, JOIN_CERTIFICATE_KEY.
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
# run_kubeadm: start the unit, or wait for the one that an interrupted run left going; show its journal when it fails. The
# credential goes, written or half-written, whoever put it there.
run_kubeadm() {
  local failed=no
  systemctl start halab-kubeadm.service || failed=yes
  rm -f /run/halab/kubeadm.yaml /run/halab/.kubeadm.yaml.new
  if [ "$failed" = yes ]; then
    journalctl --unit halab-kubeadm.service --no-pager --output cat --lines 40 >&2
    exit 1
  fi
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
    caCertHashes:
      - "${JOIN_CA_HASH:?}"
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
    # looks for the kernel's configuration under /lib/modules, which a container has not
    - SystemVerification
    # belongs to the host's kernel; kube-proxy masquerades without it
    - FileContent--proc-sys-net-bridge-bridge-nf-call-iptables
    # CoreDNS's image is not part of the payload; the others are here already
    - ImagePull
    # the kubelet is told failSwapOn: false
    - Swap
    - NumCPU
    - Mem
EOF
fi
run_kubeadm
