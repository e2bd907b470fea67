# Lets what an interrupted run left going on this machine come to its end. Run before a machine joins: it may be about to
# become a member, or have become one since it was last looked at.
set -euo pipefail
exec 9> /run/halab/kubeadm.lock
flock 9
if [ "$(systemctl show -P ActiveState halab-kubeadm.service)" = activating ]; then
  systemctl start halab-kubeadm.service || echo "kubeadm, left going by an interrupted run, has failed: it is started afresh"
fi
