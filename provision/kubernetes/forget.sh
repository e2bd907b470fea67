# Has the cluster forget machines, so that they can join anew: what kubeadm keeps of them, their etcd members, their pods and
# their Nodes. Run on a healthy control plane: its own ADDRESS, then NAME=ADDRESS of each machine.
# By member and Node a later run sees that a machine is not forgotten yet: they go last.
set -euo pipefail
own=$1
shift
# The virtual IP may be on its way back to a machine that has just been made.
kubectl() { command kubectl --kubeconfig /etc/kubernetes/admin.conf --server "https://$own:6443" "$@"; }
etcd() {
  curl --silent --show-error --fail --max-time 10 --cacert /etc/kubernetes/pki/etcd/ca.crt \
    --cert /etc/kubernetes/pki/etcd/healthcheck-client.crt --key /etc/kubernetes/pki/etcd/healthcheck-client.key \
    --data "$2" "https://127.0.0.1:2379/v3/cluster/member/$1"
}

# All members first, before any of the machines joins again: etcd 3.4 has no learners, so a member that does not run counts
# against the quorum. For 5 s after another one came or went etcd calls itself unhealthy and removes none.
forget_member() {
  local id tries=0
  id=$(etcd list '{}' | python3 -c '
import json, sys
members = json.load(sys.stdin)["members"]
print(next((m["ID"] for m in members if sys.argv[1] in m.get("peerURLs", [])), ""))' "$1")
  [ -n "$id" ] || return 0
  until etcd remove "{\"ID\": \"$id\"}" > /dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 20 ] || return 1
    sleep 1
  done
  echo "removed etcd member $1"
}

# Up to 1.21 kubeadm keeps the endpoints of all apiservers in ClusterStatus; a join asks them, the dead ones too.
forget_endpoint() {
  local config
  config=$(kubectl -n kube-system get configmap kubeadm-config -o json | python3 -c '
import json, re, sys
config = json.load(sys.stdin)
status = config["data"].get("ClusterStatus", "")
entry = rf"^  [\"\x27]?{re.escape(sys.argv[1])}[\"\x27]?:\n(?:    .*\n)*"
config["data"]["ClusterStatus"] = re.sub(entry, "", status, flags=re.MULTILINE)
if config["data"]["ClusterStatus"] != status:
    json.dump(config, sys.stdout)' "$1")
  [ -z "$config" ] || kubectl replace -f - <<< "$config" > /dev/null
}

for machine; do forget_endpoint "${machine%%=*}"; done
for machine; do forget_member "https://${machine#*=}:2380"; done
for machine; do
  # Left alone they would run again on the new machine of that name, as if nothing had happened.
  kubectl delete pods --all-namespaces --field-selector "spec.nodeName=${machine%%=*}" --force --grace-period 0 --wait=false
  kubectl delete node "${machine%%=*}" --ignore-not-found
done
