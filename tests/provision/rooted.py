"""A machine's root file system to run a step in, with the real bash and a systemd that is played.

What the played systemd knows is what the real one does: the unit files as they were at the last daemon-reload, and for
each service that runs the files as they were when it began to (after a reload: its own as they are, and the old unit).
"""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

#: Makes the root: the host's programs, everything else of its own.
ROOT = r"""
set -euo pipefail
root=$1
mount -t tmpfs -o mode=0755 none "$root"
cd "$root"
mkdir usr dev proc etc var run tmp opt given
ln -s usr/bin usr/sbin usr/lib usr/lib64 .
mount --bind /usr usr
mount -t tmpfs -o mode=0755 none usr/local
mkdir -p usr/local/bin usr/local/sbin var/lib run/systemd/system etc/systemd/system/multi-user.target.wants
mkdir etc/ssl
cp /etc/passwd /etc/group etc
cp /etc/ssl/openssl.cnf etc/ssl
mount --rbind /dev dev
mount -t proc none proc
cp -a "$2/." given
chmod 0755 given/bin/*
exec chroot . /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 PATH=/given/bin:/usr/sbin:/usr/bin:/sbin:/bin bash /given/drive
"""

#: Kills the step, as from outside, before the n-th command of any bash in it; sourced by each of them (BASH_ENV).
KILL = r"""
set -T
harmless='^(\[|\[\[|:|case|for|local|read|return|set|[A-Za-z_]+=[^ ]*$|IFS=)'
halab_count() {
  local left
  # What has no effect outside of its shell needs no kill of its own: the next command's is the same.
  [[ ! $BASH_COMMAND =~ $harmless || $BASH_COMMAND == *[\>\`]* || $BASH_COMMAND == *'$('* ]] || return 0
  read -r left < /run/left
  [ "$left" != 1 ] || kill -KILL 0
  echo "$((left - 1))" > /run/left
}
trap halab_count DEBUG
"""

SYSTEMCTL = r"""#!/bin/sh
# Plays systemctl; no bash, so that it is no part of what is killed.
set -eu
known=/run/known
mkdir -p "$known/runs"
# All that a service may read, in one word; unfinished files are nobody's.
sum() { grep -r --exclude '.*.new' '' "$@" 2> /dev/null | sort | cksum; }
units() { sum /etc/systemd/system; }
files() { sum /etc/haproxy /etc/keepalived /etc/containerd /etc/cni /etc/ssh /etc/default /etc/systemd/journald.conf.d \
  /etc/kubernetes /usr/local /var/lib/halab/answerer; }
[ -e "$known/units" ] || units > "$known/units"
begin() { { cat "$known/units"; files; } > "$known/runs/$1"; echo "$1" >> "$known/begun"; }
while :; do case ${1:-} in --quiet | --now | --no-reload | -P) shift ;; *) break ;; esac; done
verb=$1
shift
while :; do case ${1:-} in --quiet | --now | --no-reload) shift ;; *) break ;; esac; done
for unit; do
  case $verb in
    start) [ -e "$known/runs/$unit" ] || begin "$unit" ;;
    restart) begin "$unit" ;;
    try-restart) [ ! -e "$known/runs/$unit" ] || begin "$unit" ;;
    reload-or-restart)
      if [ -e "$known/runs/$unit" ]; then
        { head -n 1 "$known/runs/$unit"; files; } > "$known/new"
        mv "$known/new" "$known/runs/$unit"
        echo "$unit" >> "$known/begun"
      else
        begin "$unit"
      fi
      ;;
    disable | stop) rm -f "$known/runs/$unit" ;;
    mask) ln -sf /dev/null "/etc/systemd/system/$unit" ;;
    enable) touch "/etc/systemd/system/multi-user.target.wants/$unit" ;;
  esac
done
case $verb in
  daemon-reload) units > "$known/units" ;;
  told) units; files ;;
  judge)
    [ "$(cat "$known/units")" = "$(units)" ] || echo "systemd has old units"
    for unit in $(ls "$known/runs"); do
      [ "$(head -n 1 "$known/runs/$unit")" = "$(units)" ] || echo "$unit runs with an old unit"
      [ "$(tail -n 1 "$known/runs/$unit")" = "$(files)" ] || echo "$unit runs with old files"
    done
    ;;
esac
"""

#: What else a step calls and cannot have here. A container's pages need no sync.
PLAYED = {
    "dpkg-query": "#!/bin/sh\nshift 3\nprintf 'installed:%s ' \"$@\"\n",
    "hostname": '#!/bin/sh\n[ $# = 0 ] || echo "$1" > /run/hostname\ncat /run/hostname 2> /dev/null || :\n',
    "systemd-tmpfiles": "#!/bin/sh\nmkdir -p /run/halab\n",
    "systemd-detect-virt": "#!/bin/sh\nexit 0\n",
    "haproxy": "#!/bin/sh\nexit 0\n",
    "keepalived": "#!/bin/sh\nexit 0\n",
    "ctr": "#!/bin/sh\necho lab.local/one:1\n",
    "systemctl": SYSTEMCTL,
}

#: For every n: the machine as it was, the step killed before its n-th command, the step to its end; what is wrong then.
DRIVE = r"""
run() {
  echo "$1" > /run/left
  BASH_ENV=/given/kill setsid --wait bash -s < "$2" > /run/said 2>&1
}
ended() { run 0 "$1" || { echo "$1 fails:"; cat /run/said; exit 1; }; }
as_it_was() {
  local folder
  for folder in etc usr/local var run tmp; do
    find "/$folder" -mindepth 1 -delete
    cp -a "/kept/${folder##*/}/." "/$folder"
  done
}
there() { find /etc /usr/local /var /tmp /run/halab -type f | sort; }
mkdir /opt/payload /kept
cp -a /given/payload/. /opt/payload
[ ! -e /given/before ] || ended /given/before
mkdir -p /var/lib/halab/steps
echo 'a digest' > /var/lib/halab/steps/it
cp -a /etc /usr/local /var /run /tmp /kept
before=$(systemctl told)
ended /given/step
systemctl judge | sed "s/^/never killed: /"
there > /wanted
: > /run/known/begun
ended /given/step
sed "s/$/ begins anew though nothing changed/" /run/known/begun
for ((n = 1; ; n++)); do
  as_it_was
  run "$n" /given/step
  [ $? = 137 ] || break
  [ "$(systemctl told)" = "$before" ] || [ ! -e /var/lib/halab/steps/it ] ||
    echo "killed before command $n: has changed something, and counts as done"
  ended /given/step
  systemctl judge | sed "s/^/killed before command $n: /"
  comm -3 /wanted <(there) | sed "s/^/killed before command $n: found, or not: /"
done
echo "$((n - 1)) kills"
"""


def killed_at_every_command(step: str, before: str, place: Path) -> tuple[int, list[str]]:
    """Kill a step before each of its commands, and run it to its end after each kill.

    ``before`` is the step as the machine has been through it already ("" = never). Returns how often it was killed, and
    what was wrong after the run that came to its end.
    """
    given = place / "given"
    (given / "bin").mkdir(parents=True)
    texts: Mapping[str, str] = {
        "kill": KILL,
        "drive": DRIVE,
        "step": step,
        **({"before": before} if before else {}),
        **{f"bin/{name}": text for name, text in PLAYED.items()},
    }
    for name, text in texts.items():
        (given / name).write_text(text)
    _payload(given / "payload/images")
    (place / "root").mkdir()
    enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", ROOT, "bash"]
    done = subprocess.run([*enter, str(place / "root"), str(given)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    *wrong, last = done.stdout.splitlines()
    return int(last.removesuffix(" kills")), wrong


def _payload(folder: Path) -> None:
    """An image of the payload, as far as a step looks into it."""
    folder.mkdir(parents=True)
    (folder.parent / "bin").mkdir()
    with tarfile.open(folder / "one.tar", "w") as archive:
        manifest = json.dumps([{"RepoTags": ["lab.local/one:1"]}]).encode()
        member = tarfile.TarInfo("manifest.json")
        member.size = len(manifest)
        archive.addfile(member, BytesIO(manifest))
