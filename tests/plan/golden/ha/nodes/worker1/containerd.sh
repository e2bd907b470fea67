#!/usr/bin/env bash
# worker1: the container runtime, with the images of the payload.
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
        "ranges": [[{"subnet": "10.244.3.0/24"}]],
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
