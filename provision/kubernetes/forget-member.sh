# Removes what etcd still knows of a machine that is not a member any more, or never became one: PEER_URL.
# Run on a healthy control plane before the machine joins (again): etcd 3.4 has no learners, so a member that was added and
# never started counts against the quorum.
set -euo pipefail
etcd() {
  curl --silent --show-error --fail --max-time 10 --cacert /etc/kubernetes/pki/etcd/ca.crt \
    --cert /etc/kubernetes/pki/etcd/healthcheck-client.crt --key /etc/kubernetes/pki/etcd/healthcheck-client.key \
    --data "$2" "https://127.0.0.1:2379/v3/cluster/member/$1"
}
id=$(etcd list '{}' | python3 -c '
import json, sys
members = json.load(sys.stdin)["members"]
print(next((m["ID"] for m in members if sys.argv[1] in m.get("peerURLs", [])), ""))' "$1")
[ -z "$id" ] || { etcd remove "{\"ID\": \"$id\"}" > /dev/null && echo "removed etcd member $1, which was no longer there"; }
