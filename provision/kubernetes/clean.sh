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
