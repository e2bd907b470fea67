#!/usr/bin/env bash
# master2: the container runtime, with the images of the payload.
set -euo pipefail

# put FILE [MODE]: make FILE say what standard input says; a file that says it already is not touched.
# changed: did any put of this script change anything?
PUT_CHANGED=no
put() {
  local file=$1 mode=${2:-0644} new
  mkdir -p "$(dirname "$file")"
  new=$(mktemp "$file.XXXXXX")
  cat > "$new"
  chmod "$mode" "$new"
  if [ -f "$file" ] && cmp -s "$new" "$file" && [ "$(stat -c %a "$file")" = "$(stat -c %a "$new")" ]; then
    rm "$new"
  else
    mv "$new" "$file"
    PUT_CHANGED=yes
  fi
}
changed() { [ "$PUT_CHANGED" = yes ]; }

# shellcheck disable=SC2016
bash -s <<'INSTALL'
#!/usr/bin/env bash
# The container runtime: enabled, its configuration comes with the lab's own step. Run as root, in a box's chroot or on a
# running machine; running it again changes nothing.
set -euo pipefail

# A stock box lacks some of it; a box of our own has all: one look at dpkg's records, and nothing is downloaded.
packages=(containerd containernetworking-plugins)
have=" $(dpkg-query --show --showformat '${db:Status-Status}:${Package} ' "${packages[@]}" 2> /dev/null || :)"
missing=()
for package in "${packages[@]}"; do
  [[ $have == *" installed:$package "* ]] || missing+=("$package")
done
if [ -n "${missing[*]}" ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get --quiet update < /dev/null
  apt-get --quiet --yes --no-install-recommends -o DPkg::Lock::Timeout=300 install "${missing[@]}" < /dev/null
fi

# write FILE: make FILE say what standard input says; no process is needed to see that it does already.
changed=no
write() {
  local old='' new
  IFS= read -r -d '' new || :
  [ ! -f "$1" ] || IFS= read -r -d '' old < "$1" || :
  [ "$old" != "$new" ] || return 0
  mkdir -p "${1%/*}"
  printf '%s' "$new" > "$1"
  changed=yes
}

wants=/etc/systemd/system/multi-user.target.wants
[ -e "$wants/containerd.service" ] || systemctl --quiet enable containerd.service
# Debian's unit loads the overlay module first; in a container that is the host's business and only fails.
write /etc/systemd/system/containerd.service.d/10-lab.conf << 'END'
[Service]
ExecStartPre=
END
if [ "$changed" = yes ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
INSTALL

put /etc/containerd/config.toml <<'EOF'
version = 2

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "k8s.gcr.io/pause:3.2"
  # A container may not lower a process's score below its own: without this every pod fails to start.
  restrict_oom_score_adj = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
EOF

# Each node's pods hang on one bridge with a /24 of their own; routes between the nodes are set at boot (halab-boot).
put /etc/cni/net.d/10-lab.conflist <<'EOF'
{
  "cniVersion": "0.4.0",
  "name": "lab",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "ipMasq": true,
      "hairpinMode": true,
      "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.244.1.0/24"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
EOF

systemctl enable --quiet --no-reload containerd.service
if changed; then systemctl restart containerd.service; else systemctl start containerd.service; fi

# The payload's images, unless the machine was born with them.
have=$(ctr -n k8s.io images list -q)
for archive in /opt/payload/images/*.tar; do
  name=$(tar -xOf "$archive" manifest.json | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["RepoTags"][0])')
  grep -qxF "$name" <<< "$have" || ctr -n k8s.io images import "$archive" > /dev/null
done
