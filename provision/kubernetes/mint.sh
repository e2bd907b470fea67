# Prints a fresh join credential, one per line: token, hash of the CA's public key, certificate key (for control planes).
# Run on a healthy control plane, its output goes straight into the environment of a join, never into a file or a log:
# ADDRESS of this machine, "control-plane" where one of these joins, else nothing.
set -euo pipefail
export KUBECONFIG=/etc/kubernetes/admin.conf
kubeadm token create --ttl 15m
openssl x509 -pubkey -noout -in /etc/kubernetes/pki/ca.crt | openssl pkey -pubin -outform der | sha256sum | sed 's/^\([0-9a-f]*\).*/sha256:\1/'
[ "${2:-}" = control-plane ] || exit 0

# The cluster's own configuration, because the machine that ran init, and had it in a file, may be gone. kubeadm would look
# for this machine's address behind a default route, and this network has none.
cluster=$(kubectl -n kube-system get configmap kubeadm-config -o 'jsonpath={.data.ClusterConfiguration}')
version=$(sed -n 's/^apiVersion: //p' <<< "$cluster")
kubeadm init phase upload-certs --upload-certs --config <(
  printf '%s\n' "apiVersion: $version" "kind: InitConfiguration" "localAPIEndpoint: {advertiseAddress: $1}" --- "$cluster"
) | tail -n 1
