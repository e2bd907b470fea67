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
