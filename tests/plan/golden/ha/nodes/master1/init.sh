#!/usr/bin/env bash
# master1: the first control plane. Its endpoint is the virtual IP, so that no member depends on one machine.
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
put /etc/kubernetes/lab/kubeadm-init.yaml 0600 <<'EOF'
apiVersion: kubeadm.k8s.io/v1beta2
kind: InitConfiguration
# kubeadm makes a token whatever it is told, for a day when it is told nothing. Each join is given one of its own.
bootstrapTokens:
  - ttl: 1s
localAPIEndpoint:
  advertiseAddress: 10.21.0.11
  bindPort: 6443
nodeRegistration:
  name: master1
  criSocket: /run/containerd/containerd.sock
  kubeletExtraArgs:
    node-ip: 10.21.0.11
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
---
apiVersion: kubeadm.k8s.io/v1beta2
kind: ClusterConfiguration
clusterName: ha
kubernetesVersion: v1.20.2
controlPlaneEndpoint: "10.21.0.100:16443"
networking:
  podSubnet: 10.244.0.0/16
  serviceSubnet: 10.96.0.0/16
apiServer:
  certSANs:
    - 10.21.0.100
    - vip.ha.lab
    - master1
    - 10.21.0.11
    - master2
    - 10.21.0.12
    - master3
    - 10.21.0.13
  extraArgs:
    audit-policy-file: /etc/kubernetes/lab/audit-policy.yaml
    audit-log-path: /var/log/kubernetes/audit/audit.log
    audit-log-maxsize: "20"
    audit-log-maxbackup: "2"
  extraVolumes:
    - name: audit-policy
      hostPath: /etc/kubernetes/lab/audit-policy.yaml
      mountPath: /etc/kubernetes/lab/audit-policy.yaml
      readOnly: true
      pathType: File
    - name: audit-log
      hostPath: /var/log/kubernetes/audit
      mountPath: /var/log/kubernetes/audit
      pathType: DirectoryOrCreate
controllerManager:
  extraArgs:
    # Each node's pod network is set by the lab (CNI configuration and routes); a second allocator would disagree.
    allocate-node-cidrs: "false"
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
featureGates:
  # The kubelet learns the disk's size some time after its start and until then refuses every pod that asks for any of
  # it, static ones for ever: etcd's, when a join starts the kubelet and writes etcd's manifest at that moment.
  LocalStorageCapacityIsolation: false
failSwapOn: false
# The machines share one disk with the host: its filling up is not theirs to cure by evicting pods.
evictionHard:
  memory.available: 50Mi
  nodefs.available: 1%
  imagefs.available: 1%
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
conntrack:
  # The table's size belongs to the host's kernel.
  maxPerCore: 0
  min: 0
EOF
put /usr/local/lib/halab/kubeadm 0755 <<'EOF'
#!/bin/sh
set -eu
# No CoreDNS: its image is not part of the payload. The kubelet's configuration comes with this file.
kubeadm init --config /etc/kubernetes/lab/kubeadm-init.yaml --upload-certs --skip-phases addon/coredns \
  --skip-token-print --skip-certificate-key-print
# The mark of a member is the UID of the Node that the cluster made of this machine: none of another UID is this machine.
own_node() { kubectl --kubeconfig /etc/kubernetes/kubelet.conf --request-timeout 5s get node master1 "$@"; }
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
  # Whatever an attempt that failed or was killed has left would stop this one.
  [ ! -e /var/lib/halab/began ] || clean
  touch /var/lib/halab/began
fi
run_kubeadm
