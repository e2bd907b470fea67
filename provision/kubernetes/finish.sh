# Lets what an interrupted run left going on this machine come to its end, then says "joined" when it made it a member.
# Run before a machine joins: it may have become a member since it was last looked at, or be about to.
set -euo pipefail
exec 9> /run/halab/kubeadm.lock
flock 9
if [ "$(systemctl show -P ActiveState halab-kubeadm.service)" = activating ]; then
  systemctl start halab-kubeadm.service || echo "kubeadm, left going by an interrupted run, has failed: it is started afresh"
fi
[ ! -e /var/lib/halab/joined ] || echo joined
