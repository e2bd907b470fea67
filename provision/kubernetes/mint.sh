# Prints a fresh join credential, one per line: token, hash of the CA's public key, certificate key (for control planes).
# Run on a healthy control plane, its output goes straight into the environment of a join, never into a file or a log:
# ADDRESS of this machine, "master" or "worker".
set -euo pipefail
export KUBECONFIG=/etc/kubernetes/admin.conf
token=$(kubeadm token create --ttl 15m)
printf '%s\n' "$token"

# Every apiserver learns of a token by a watch of its own, and one that has just started may lag behind: a join that met it
# through the virtual IP would be refused (401). One that does not answer gets no clients either.
answer() {
  printf 'header = "Authorization: Bearer %s"\n' "$token" |
    curl --config - --silent --max-time 2 --cacert /etc/kubernetes/pki/ca.crt --output /dev/null --write-out '%{http_code}' \
      "https://$1/api/v1/namespaces/kube-system/configmaps/kubeadm-config"
}
deadline=$((SECONDS + 20))
servers=$(kubectl get endpoints kubernetes -o 'jsonpath={range .subsets[*].addresses[*]}{.ip}:6443 {end}')
for server in $servers; do
  while [ "$(answer "$server")" = 401 ]; do
    [ "$SECONDS" -lt "$deadline" ] || { echo "the apiserver at $server does not know the new token" >&2; exit 1; }
    sleep 0.1
  done
done

openssl x509 -pubkey -noout -in /etc/kubernetes/pki/ca.crt | openssl pkey -pubin -outform der | sha256sum | sed 's/^\([0-9a-f]*\).*/sha256:\1/'
[ "$2" = master ] || exit 0

# The cluster's own configuration, because the machine that ran init, and had it in a file, may be gone. kubeadm would look
# for this machine's address behind a default route, and this network has none.
cluster=$(kubectl -n kube-system get configmap kubeadm-config -o 'jsonpath={.data.ClusterConfiguration}')
version=$(sed -n 's/^apiVersion: //p' <<< "$cluster")
kubeadm init phase upload-certs --upload-certs --config <(
  printf '%s\n' "apiVersion: $version" "kind: InitConfiguration" "localAPIEndpoint: {advertiseAddress: $1}" --- "$cluster"
) | tail -n 1
