#!/bin/sh
# seed.sh ROOTFS PAYLOAD STATE WORK: runs the box's own containerd on this host, in a mount and process namespace that the
# caller made, and lets it import the payload's images into STATE. Everything ends with the namespace.
set -eu

rootfs=$1 payload=$2 state=$3 work=$4
root=$work/root
mkdir -p "$state" "$work/upper" "$work/overlay" "$root"
mount -t overlay overlay -o "lowerdir=$rootfs,upperdir=$work/upper,workdir=$work/overlay" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind "$state" "$root/var/lib/containerd"
mount --bind "$payload" "$root/opt/payload"
cat > "$root/run/containerd.toml" << 'END'
version = 2
# Only what keeps images: no pods, no other ways to store layers.
disabled_plugins = [
  "io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt",
]
END
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }

# Not by way of inside(): its process would be a shell around containerd, and the signal below would end that alone.
chroot "$root" /usr/bin/containerd --config /run/containerd.toml --log-level warn > "$work/containerd.log" 2>&1 &
daemon=$!
# Half a minute: it starts in a tenth of a second.
deadline=$(($(date +%s) + 30))
until inside ctr version > /dev/null 2>&1; do
  if ! kill -0 "$daemon" || [ "$(date +%s)" -ge "$deadline" ]; then
    echo "containerd did not start:" >&2
    cat "$work/containerd.log" >&2
    exit 1
  fi
  sleep 0.1
done
for archive in "$payload"/images/*.tar; do
  name=${archive##*/}
  echo "import $name"
  inside ctr --namespace k8s.io images import "/opt/payload/images/$name" > "$work/import.log" 2>&1 || {
    cat "$work/import.log" >&2
    exit 1
  }
done
# In good order, so that its databases are whole.
kill "$daemon"
wait "$daemon" || { echo "containerd ended with status $?" >&2; cat "$work/containerd.log" >&2; exit 1; }
