"""Can this host run a lab? Looks only; every finding says what it means and what to do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lab.cache import Cache
from lab.command import run
from lab.debian.apt import configured
from lab.debian.mirrors import HELPER, releases, silent
from lab.definition import Definition
from lab.errors import LabError
from lab.payload.choose import choose
from lab.providers import choice

#: Bytes that a first ``up`` writes: Kubernetes' sources and build 6 GiB, box and images 2, machines 2 (measured).
DISK_BYTES = 10 * 2**30

#: Bytes of memory that four machines take at most as containers.
MEMORY_BYTES = 3 * 2**30


class Grade(StrEnum):
    """How a finding bears on a lab."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was seen, what it means; ``hint`` says what to do about it."""

    subject: str
    seen: str
    grade: Grade
    hint: str = ""


def examine(definition: Definition, wanted: str) -> list[Finding]:
    """Look at everything a lab of this definition needs on this host."""
    chosen = choice.choose(wanted, definition)
    looks: list[Callable[[], Finding]] = [
        lambda: Finding("provider", f"{chosen.provider}: {chosen.why}", Grade.GOOD),
        lambda: _privileges(chosen.provider),
        lambda: _vagrant(chosen.provider),
        lambda: _namespaces(chosen.provider),
        lambda: _cgroups(chosen.provider),
        lambda: _filesystem(chosen.provider),
        _memory,
        _disk,
        _mirrors,
        lambda: _payload(definition),
    ]
    return [look() for look in looks]


def _privileges(provider: str) -> Finding:
    if os.geteuid() == 0:
        return Finding("privileges", "root", Grade.GOOD)
    if provider == "lxc":
        return Finding("privileges", "not root", Grade.BAD, "system containers need root: sudo ./inv up")
    return Finding(
        "privileges", "not root", Grade.NOTE, "enough with a system libvirt and membership in its group (libvirt)"
    )


def _vagrant(provider: str) -> Finding:
    """Vagrant with the provider's plugin (its name follows Vagrant's own convention)."""
    plugin = f"vagrant-{provider}"
    if shutil.which("vagrant") is None:
        return Finding("Vagrant", "not installed", Grade.NOTE, "./inv up installs it where there is apt")
    listed = run(["vagrant", "plugin", "list"], timeout=60.0)
    found = next((line for line in listed.stdout.splitlines() if line.startswith(f"{plugin} ")), "")
    if found:
        return Finding("Vagrant", found, Grade.GOOD)
    return Finding(
        "Vagrant", f"without {plugin}", Grade.NOTE, f"./inv up --provider {provider} installs it where there is apt"
    )


def _namespaces(provider: str) -> Finding:
    """Containers need a network and a mount namespace of the lab's own."""
    if provider != "lxc" or os.geteuid() != 0:
        return Finding("namespaces", "not needed" if provider != "lxc" else "not tried without root", Grade.GOOD)
    tried = run(["unshare", "--net", "--mount", "mount", "-t", "sysfs", "sysfs", "/sys"], timeout=10.0)
    if tried.ok:
        return Finding("namespaces", "network and mount namespaces can be made", Grade.GOOD)
    return Finding(
        "namespaces", tried.tail(1), Grade.BAD, "this host (a container itself?) lets nobody make namespaces"
    )


def _cgroups(provider: str) -> Finding:
    version = "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1"
    if provider == "lxc" and version == "v2":
        return Finding("cgroups", "v2", Grade.NOTE, "Kubernetes v1.20.2 in containers is proven on v1 only")
    return Finding("cgroups", version, Grade.GOOD)


def _filesystem(provider: str) -> Finding:
    known = Path("/proc/filesystems").read_text().split()
    if provider == "lxc" and "overlay" not in known and shutil.which("modprobe") is None:
        return Finding(
            "overlay", "the kernel does not know it", Grade.BAD, "machines share the box's root through overlayfs"
        )
    return Finding("overlay", "known" if "overlay" in known else "a module, loaded when needed", Grade.GOOD)


def _memory() -> Finding:
    lines = Path("/proc/meminfo").read_text().splitlines()
    available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    grade = Grade.GOOD if available >= MEMORY_BYTES else Grade.BAD
    return Finding(
        "memory",
        f"{available / 2**30:.1f} GiB available",
        grade,
        "" if grade is Grade.GOOD else "a lab takes up to 3 GiB",
    )


def _disk() -> Finding:
    root = Cache.default().root
    place = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(place).free
    grade = Grade.GOOD if free >= DISK_BYTES else Grade.BAD
    return Finding(
        "disk",
        f"{free / 2**30:.0f} GiB free for the cache in {root}",
        grade,
        "" if grade is Grade.GOOD else "10 GiB are needed; HALAB_CACHE names another place",
    )


def _mirrors() -> Finding:
    """The mirrors that box and Kubernetes are built from; what is in the cache needs them no more."""
    root = Cache.default().root
    cached = all(any((root / kind).glob("*")) for kind in ("box", "payload"))
    grade = Grade.NOTE if cached else Grade.BAD
    if not Path(HELPER).exists():
        return Finding("mirrors", "no apt on this host", grade, "box and Kubernetes are built on Debian 12")
    try:
        asked = releases(configured())
        quiet = silent(asked)
    except LabError as error:
        return Finding("mirrors", error.message, grade, error.hint)
    if quiet:
        told = "; ".join(f"{address}: {words}" for address, words in quiet.items())
        hint = (
            "only ./inv up --refresh needs them: the cache is filled" if cached else "the first up downloads from them"
        )
        return Finding("mirrors", f"{len(quiet)} of {len(asked)} do not answer: {told}", grade, hint)
    return Finding("mirrors", f"{len(asked)} configured, all answer", Grade.GOOD)


def _payload(definition: Definition) -> Finding:
    source = definition.kubernetes.source
    try:
        chosen, why = choose(source, definition.kubernetes.version)
    except LabError as error:
        return Finding("Kubernetes", error.message, Grade.BAD, error.hint)
    return Finding("Kubernetes", f"{chosen.version}, source {why}", Grade.GOOD)
