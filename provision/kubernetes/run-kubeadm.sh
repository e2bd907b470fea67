# run_kubeadm: start the unit, or wait for the one that an interrupted run left going; show its journal when it fails.
run_kubeadm() {
  if ! systemctl start halab-kubeadm.service; then
    journalctl --unit halab-kubeadm.service --no-pager --output cat --lines 40 >&2
    rm -f /run/halab/kubeadm.yaml
    exit 1
  fi
  rm -f /run/halab/kubeadm.yaml
}
