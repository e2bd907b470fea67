"""A Debian 13 that boots with systemd and control groups of version 2, as every real one does: emulated, so slow."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import needs
import pytest
from emulatedhost import EmulatedHost, emulated, prepare
from freshhost import fresh_host
from listening import Deaf
from running import Done

from lab.cache import MANIFEST, Cache
from lab.definition import parse
from lab.identity import Identity
from lab.siting import make_site
from lab.stage import Stage
from lab.timeline import Timeline

pytestmark = [pytest.mark.live, pytest.mark.long, needs.root, needs.apt]

#: One master, with timers that leave an emulated processor time for other things.
SOLO = """
name: solo
provider: lxc
nodes:
  - {name: only, role: master}
keepalived: {advert_interval: 2, hang_check: {interval: 30, timeout: 20}}
haproxy: {timeouts: {connect: 10, check: 20}, check: {inter: 10}}
"""

#: How many times slower than an ordinary host this one is at most (HALAB_PATIENCE).
PATIENCE = 10

#: Seconds: on two busy processors the machine took 490, the load balancer 350, init until its pods ran 1100 (measured).
MACHINES, LOADBALANCER, PODS = 1800.0, 1800.0, 3600.0

#: Prints, run on the host, the control groups of the containers that the machine's kubelet made, and what runs there.
PODS_RUN = """
top=/sys/fs/cgroup/lxc.payload.$(ls /var/lib/lxc)/kubepods.slice
find "$top" -path '*.slice/cri-containerd-*.scope/cgroup.procs' 2> /dev/null | while read -r procs; do
  for pid in $(cat "$procs"); do echo "$procs $(cat /proc/"$pid"/comm)"; done
done
"""


@dataclass(frozen=True)
class Debian13:
    """The emulated host and the clone in it."""

    host: EmulatedHost
    clone: Path
    cache: Path

    def inv(self, words: str, *, seconds: float, status: int | None = 0) -> Done:
        """./inv, with patience."""
        return self.host.run(self.command(words), seconds=seconds, status=status)

    def command(self, words: str) -> str:
        """./inv as a shell command."""
        return f"cd {self.clone} && HALAB_CACHE={self.cache} HALAB_PATIENCE={PATIENCE} ./inv {words}"


@pytest.fixture
def debian13(containers: None, tmp_path: Path) -> Iterator[Debian13]:
    """Booted, with the packages of a lab, the virtual environment and what this machine's cache holds for it."""
    needs.programs("qemu-system-x86_64", "mkfs.ext4")
    definition, identity = parse(SOLO), Identity("solo", tmp_path)
    site = make_site(definition, identity, "lxc", Stage.WORKERS, Timeline(Deaf()), refresh=False)
    with fresh_host("trixie") as fresh:
        prepare(fresh)
        (fresh.root / "root/solo.yaml").write_text(SOLO)
        # inv brings all that an up needs; then nothing is measured, which is wrong usage.
        nothing = "./inv bench up --rounds 0 --definition /root/solo.yaml"
        fresh.run(f"cd {fresh.clone} && {{ {nothing} || [ $? = 64 ]; }} && command -v lxc-start", seconds=1800)
        for path in site.stands_on(new=True):
            entry = next(folder for folder in (path, *path.parents) if (folder / MANIFEST).is_file())
            target = fresh.root / entry.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "--archive", entry, target], check=True)
        with emulated(fresh.root, tmp_path) as host:
            yield Debian13(host, fresh.clone, Cache.default().root)


def test_containers_load_balancer_kubelet_and_pods_on_control_groups_v2(debian13: Debian13) -> None:
    host = debian13.host
    assert host.run("stat --file-system --format %T /sys/fs/cgroup", seconds=60).out.strip() == "cgroup2fs"

    found = debian13.inv("doctor --definition /root/solo.yaml", seconds=900).out
    assert re.search(r"^good +cgroups +v2", found, re.MULTILINE)

    up = "up --definition /root/solo.yaml --until"
    assert "machines run" in debian13.inv(f"{up} machines", seconds=MACHINES).out
    assert "10.21.0.100:16443 answers" in debian13.inv(f"{up} loadbalancer", seconds=LOADBALANCER).out

    # kubeadm may need longer than anybody waits here. What is at stake is whether a kubelet and its pods run at all.
    host.run(f"({debian13.command(f'{up} control-plane')}) > /root/init.log 2>&1 & ", seconds=60)
    host.until(PODS_RUN, lambda said: {"pause", "etcd", "kube-apiserver"} <= set(said.split()), PODS)
