#!/usr/bin/env bash
# The folders in which kubeadm and the kubelet expect to find or put things. Running it again changes nothing.
set -euo pipefail

mkdir -p /etc/kubernetes/manifests /opt/payload /usr/libexec/kubernetes/kubelet-plugins/volume/exec
