"""Room on the disks and in memory for what is still to be made."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.cache import Cache
from lab.model.functions import Function
from lab.providers.libvirt.volumes import POOL_PATH
from lab.providers.lxc import LXC_PATH
from lab.requirements.finding import Finding, Grade
from lab.requirements.paths import readable
from lab.requirements.scope import Scope
from lab.topology import Node

MIB, GIB = 2**20, 2**30


@dataclass(frozen=True)
class Memory:
    """Bytes that a machine takes at rest (measured), and at most with room for a busy cluster."""

    least: int
    most: int


#: A container with Kubernetes (README's table: 1.5 GiB for three masters and a worker).
MASTER_MEMORY, WORKER_MEMORY = Memory(480 * MIB, 896 * MIB), Memory(96 * MIB, 384 * MIB)

#: One without: systemd, haproxy and keepalived (measured: 40 MiB).
PLAIN_MEMORY = Memory(40 * MIB, 96 * MIB)

#: Bytes that a virtual machine without Kubernetes takes (README's table: 1.9 GiB for four). QEMU takes what its guest
#: has touched; with Kubernetes, not measured, that is as much more as a container with it takes.
VIRTUAL_MEMORY = 486 * MIB

#: Bytes of disk that a container writes: etcd's log and data, logs (measured: 125 MiB on a master, 1 on a worker).
MASTER_DISK, WORKER_DISK = 256 * MIB, 64 * MIB

#: Bytes of the images, which a container has for itself where the cache lies on another file system.
IMAGES_DISK = 700 * MIB

#: Bytes that a virtual machine's disk grows to (measured).
VIRTUAL_DISK = 2 * GIB

#: Bytes of what Vagrant and the runs keep in a lab's folder.
FOLDER_DISK = 100 * MIB


@dataclass(frozen=True)
class Need:
    """Bytes that something will take in a folder, which need not exist yet."""

    folder: Path
    bytes: int
    what: str

    @property
    def place(self) -> Path:
        """The folder, or the nearest one above it that exists."""
        return next(path for path in (self.folder, *self.folder.parents) if path.exists())

    @property
    def disk(self) -> int:
        """The file system that it will lie on (stat(2), st_dev)."""
        return self.place.stat().st_dev


def disk(scope: Scope) -> Iterator[Finding]:
    """A finding a file system: what will be written there, and what is free."""
    wanted = list(needs(scope, Cache.default().root))
    for number in dict.fromkeys(need.disk for need in wanted):
        here = [need for need in wanted if need.disk == number]
        total, free = sum(need.bytes for need in here), shutil.disk_usage(here[0].place).free
        seen = f"{free / GIB:.1f} GiB free in {' and '.join(dict.fromkeys(readable(need.folder) for need in here))}"
        if free >= total:
            yield Finding("disk", seen, Grade.GOOD)
            continue
        parts = ", ".join(f"{need.what} {need.bytes / GIB:.1f}" for need in here)
        yield Finding(
            "disk",
            f"{seen}, {total / GIB:.1f} are needed ({parts})",
            Grade.BAD,
            "free some; HALAB_CACHE names another place for what is built",
        )


def needs(scope: Scope, cache: Path) -> Iterator[Need]:
    """What will be written, and where."""
    for part in scope.parts:
        yield Need(cache, part.space, part.name)
    if not scope.nodes:
        return
    yield Need(scope.site.identity.state, FOLDER_DISK, "the lab's folder")
    if scope.containers:
        yield Need(LXC_PATH, _containers(scope.nodes, shared=_together(LXC_PATH, cache)), "machines")
    elif not scope.remote:
        private = scope.daemon == "private"
        folder = scope.site.identity.state / "libvirt" if private else Path(POOL_PATH)
        yield Need(folder, VIRTUAL_DISK * len(scope.nodes), "machines")


def _containers(nodes: Sequence[Node], *, shared: bool) -> int:
    own = 0 if shared else IMAGES_DISK
    return sum((MASTER_DISK if node.has(Function.ETCD) else WORKER_DISK) + own for node in nodes)


def _together(one: Path, other: Path) -> bool:
    """Can a file of one folder be a link to one of the other?"""
    return Need(one, 0, "").disk == Need(other, 0, "").disk


def memory(scope: Scope) -> Finding:
    """Less than the machines take is bad, less than they may take a note. Those of another host take nothing here."""
    if scope.remote:
        return Finding("memory", "the other host's is not looked at", Grade.NOTE)
    taken, available = [_memory(scope, node) for node in scope.nodes], available_memory()
    least, most = sum(one.least for one in taken), sum(one.most for one in taken)
    seen = f"{available / GIB:.1f} GiB available"
    if available >= most:
        return Finding("memory", seen, Grade.GOOD)
    grade, tight = (Grade.BAD, "") if available < least else (Grade.NOTE, "it may get tight: ")
    cure = "fewer of them" if scope.containers else "less with machine.memory in the definition"
    hint = f"{tight}the machines take {least / GIB:.1f} GiB, and up to {most / GIB:.1f}: {cure}"
    return Finding("memory", seen, grade, hint)


def _memory(scope: Scope, node: Node) -> Memory:
    kubernetes = MASTER_MEMORY if node.has(Function.CONTROL_PLANE) else WORKER_MEMORY
    if scope.containers:
        return kubernetes if scope.stage.has_kubernetes else PLAIN_MEMORY
    whole, more = node.memory * MIB, kubernetes.least if scope.stage.has_kubernetes else 0
    return Memory(min(whole, VIRTUAL_MEMORY + more), whole)


def available_memory() -> int:
    """Bytes that programs could still get without swapping, as the kernel estimates it (proc(5), MemAvailable)."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def writable(folder: Path) -> bool:
    """May this user write in a folder, or make it where it does not exist yet?"""
    return os.access(Need(folder, 0, "").place, os.W_OK | os.X_OK)
