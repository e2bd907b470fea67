#!/usr/bin/env bash
# worker1: Kubernetes' programs, the kubelet's unit.
set -euo pipefail

# The files of a step, and the unit that reads them. What the unit has not taken in yet is remembered on the machine before
# it changes, so that a step which is killed leaves it to its next run; and under /run, because a machine that itself stops
# and starts begins with the files as they are.

# UNIT: whose files are put from here on; "" where nothing that runs reads them.
UNIT=

# put FILE [MODE]: make FILE say what standard input says; a file that says it already is not touched.
put() {
  local file=$1 mode=${2:-0644} new=${1%/*}/.${1##*/}.new text='' old=''
  IFS= read -r -d '' text || :
  [ ! -f "$file" ] || IFS= read -r -d '' old < "$file" || :
  if [ "$text" = "$old" ] && [ "0$(stat -c %a "$file")" = "$mode" ]; then return; fi
  mkdir -p "${file%/*}"
  rm -f "$new"
  (umask 077 && printf '%s' "$text" > "$new")
  chmod "$mode" "$new"
  # Not even a power cut shall leave an empty file. (A container's pages are the host's and outlive it.)
  systemd-detect-virt --quiet --container || sync "$new"
  changing "$file"
  mv "$new" "$file"
}

# changing FILE: a file of UNIT's is about to change.
changing() {
  if [ -z "$UNIT" ] || [ ! -d /run/systemd/system ]; then return; fi
  mkdir -p /run/halab/changed
  echo "$1" >> "/run/halab/changed/$UNIT"
}

# changed [PATH]: has a file of UNIT's (below PATH) changed since UNIT took its files in?
changed() { grep -qs "^${1:-/}" "/run/halab/changed/$UNIT"; }

# reload_units: have systemd read its units again when one of UNIT's files is of that kind.
reload_units() {
  if changed /etc/systemd/system; then systemctl daemon-reload; fi
}

# taken_in: UNIT runs with its files as they are, or will when it is started.
taken_in() { rm -f "/run/halab/changed/$UNIT"; }

# apply restart | reload: UNIT starts with the machine and runs now, with its files as they are. A reload is enough when
# nothing changed in what systemd itself reads.
apply() {
  local how=restart
  systemctl enable --quiet --no-reload "$UNIT"
  reload_units
  if ! changed; then
    how=start
  elif [ "$1" = reload ] && ! changed /etc/systemd/system; then
    how=reload-or-restart
  fi
  # systemctl tells that a unit failed; why it did, its journal tells.
  systemctl "$how" "$UNIT" || { journalctl --unit "$UNIT" --lines 12 --output cat --no-pager >&2; return 1; }
  taken_in
}

# shellcheck disable=SC2016
bash -s <<'INSTALL'
#!/usr/bin/env bash
# What kubeadm and the kubelet call, and the folders in which they expect to find or put things. Run as root, in a box's
# chroot or on a running machine; running it again changes nothing.
set -euo pipefail

# A stock box lacks some of it; a box of our own has all: one look at dpkg's records, and nothing is downloaded.
packages=(conntrack ebtables ethtool ipset iptables socat mount util-linux)
have=" $(dpkg-query --show --showformat '${db:Status-Status}:${Package} ' "${packages[@]}" 2> /dev/null || :)"
missing=()
for package in "${packages[@]}"; do
  [[ $have == *" installed:$package "* ]] || missing+=("$package")
done
if [ -n "${missing[*]}" ]; then
  export DEBIAN_FRONTEND=noninteractive
  # What a killed installation left half-way stops the next one; where this fails, apt says why.
  dpkg --configure --pending < /dev/null || :
  apt-get --quiet update < /dev/null
  apt-get --quiet --yes --no-install-recommends -o DPkg::Lock::Timeout=300 install "${missing[@]}" < /dev/null
fi

mkdir -p /etc/kubernetes/manifests /opt/payload /usr/libexec/kubernetes/kubelet-plugins/volume/exec
INSTALL

for program in kubeadm kubelet kubectl crictl; do
  [ "$(readlink "/usr/local/bin/$program")" = "/opt/payload/bin/$program" ] ||
    ln -sf "/opt/payload/bin/$program" "/usr/local/bin/$program"
done

UNIT=kubelet.service
put /etc/systemd/system/kubelet.service <<'EOF'
[Unit]
Description=The Kubernetes node agent
After=containerd.service halab-boot.service
Wants=containerd.service
StartLimitIntervalSec=0

[Service]
# The two files are kubeadm's: before init or join there is nothing to run (kubeadm starts this unit itself).
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=/usr/local/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
EOF

# kubeadm runs as a unit: it outlives the connection that started it, and a second start finds the first one.
put /etc/systemd/system/halab-kubeadm.service <<'EOF'
[Unit]
Description=kubeadm: this machine becomes a member of the cluster
After=containerd.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
Environment=HOME=/root
ExecStart=/usr/local/lib/halab/kubeadm
EOF
systemctl enable --quiet --no-reload kubelet.service
reload_units
# Neither is started here, kubeadm is not even started again; a kubelet that runs goes on with its unit as it is now.
if changed /etc/systemd/system/kubelet.service; then systemctl try-restart kubelet.service; fi
taken_in
