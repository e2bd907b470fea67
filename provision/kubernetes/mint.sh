# Prints a fresh join credential, one per line: token, hash of the CA's public key, certificate key (for control planes).
# Run on a healthy control plane, its output goes straight into the environment of a join, never into a file or a log.
set -euo pipefail
export KUBECONFIG=/etc/kubernetes/admin.conf
kubeadm token create --ttl 15m
openssl x509 -pubkey -noout -in /etc/kubernetes/pki/ca.crt | openssl pkey -pubin -outform der | sha256sum | sed 's/^\([0-9a-f]*\).*/sha256:\1/'
[ "${1:-}" != master ] || kubeadm init phase upload-certs --upload-certs --config /etc/kubernetes/lab/kubeadm-init.yaml | tail -n 1
