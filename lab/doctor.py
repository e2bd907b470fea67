"""Can this host run a lab? Looks only; every finding says what it means and what to do."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lab.cache import Cache, CacheError, check_folder, read_manifest
from lab.command import run
from lab.debian.apt import configured
from lab.debian.mirrors import HELPER, releases, silent
from lab.definition import Definition
from lab.definition.driver import EMULATION, unkept
from lab.errors import LabError
from lab.payload.choose import choose
from lab.plan.show import follows
from lab.providers import choice
from lab.providers.libvirt import siting
from lab.providers.libvirt.siting import Hypervisor
from lab.siting import unbuilt
from lab.topology import Topology, derive

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
    hypervisor, told = _hypervisor(definition) if chosen.provider == "libvirt" else (None, [])
    topology = derive(definition, hypervisor.driver if hypervisor is not None else "")
    lacking = unbuilt(definition, chosen.provider, Cache.default(), kubernetes=topology.driver != EMULATION)
    looks: list[Callable[[], Finding]] = [
        lambda: _privileges(definition, chosen.provider, lacking),
        lambda: _vagrant(chosen.provider),
        lambda: _namespaces(chosen.provider),
        lambda: _cgroups(chosen.provider),
        lambda: _filesystem(chosen.provider),
        lambda: _memory(topology, chosen.provider, hypervisor),
        _disk,
        _cache,
        lambda: _mirrors(lacking),
        lambda: _payload(definition),
    ]
    return [
        Finding("provider", f"{chosen.provider}: {chosen.why}", Grade.GOOD),
        *told,
        *_timers(topology),
        *(look() for look in looks),
    ]


def _hypervisor(definition: Definition) -> tuple[Hypervisor | None, list[Finding]]:
    """The daemon and the driver that a lab of virtual machines would get, and a finding a decision."""
    try:
        found = siting.choose(definition)
    except LabError as error:
        return None, [Finding("libvirt", error.message, Grade.BAD, error.hint)]
    told = []
    for line in found.why:
        subject, seen = re.split(r":? ", line, maxsplit=1)
        slow = subject == "driver" and found.driver == "qemu"
        hint = "too slow for Kubernetes: ./inv up --until loadbalancer" if slow else ""
        told.append(Finding(subject, seen, Grade.NOTE if slow else Grade.GOOD, hint))
    return found, told


def _timers(topology: Topology) -> Iterator[Finding]:
    """What follows the driver, and what was set and does not suit it."""
    if timers := follows(topology):
        yield Finding("unset timers", timers, Grade.NOTE)
    for problem in unkept(topology.definition, topology.driver):
        yield Finding(problem.path, problem.wrong, Grade.NOTE, f"better: {problem.right}")


def _privileges(definition: Definition, provider: str, lacking: list[str]) -> Finding:
    if os.geteuid() == 0:
        return Finding("privileges", "root", Grade.GOOD)
    if provider == "lxc":
        return Finding("privileges", "not root", Grade.BAD, "system containers need root: sudo ./inv up")
    if not lacking:
        hint = "enough with a system libvirt and membership in its group (libvirt)"
        return Finding("privileges", "not root", Grade.NOTE, hint)
    needs_root = f"building {' and '.join(lacking)} needs root"
    if definition.machine.box.name:
        hint = f"enough for --until loadbalancer with a system libvirt and its group (libvirt); {needs_root}"
        return Finding("privileges", "not root", Grade.NOTE, hint)
    return Finding(
        "privileges", "not root", Grade.BAD, f"{needs_root}; a public box (machine.box) and --until loadbalancer do not"
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


def _memory(topology: Topology, provider: str, hypervisor: Hypervisor | None) -> Finding:
    """What the machines take at most. Those of another host take nothing here."""
    if hypervisor is not None and hypervisor.daemon == "remote":
        return Finding("memory", "the other host's is not looked at", Grade.NOTE)
    needed = MEMORY_BYTES
    if provider == "libvirt":
        needed = sum(node.memory for node in topology.nodes) * 2**20
    available = available_memory()
    grade = Grade.GOOD if available >= needed else Grade.BAD
    taken = f"a lab takes up to {needed / 2**30:.1f} GiB"
    hint = f"{taken}: less with machine.memory in the definition" if provider == "libvirt" else taken
    return Finding(
        "memory",
        f"{available / 2**30:.1f} GiB available",
        grade,
        "" if grade is Grade.GOOD else hint,
    )


def available_memory() -> int:
    """Bytes that programs could still get without swapping, as the kernel estimates it (proc(5), MemAvailable)."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


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


def _cache() -> Finding:
    """What was built once, read from beginning to end: damage that keeps size and time shows nowhere else."""
    cache = Cache.default()
    if os.geteuid() != 0:
        return Finding("cache", f"{len(cache.folders())} entries, not read: that needs root", Grade.GOOD)
    damaged, size = [], 0
    for folder in cache.folders():
        try:
            check_folder(folder, deep=True)
            size += sum(int(file.get("size", 0)) for file in read_manifest(folder)["files"].values())
        except CacheError as error:
            damaged.append(error.message)
    if damaged:
        hint = "./inv up builds it anew; a lab that was made from it must be destroyed before"
        return Finding("cache", "; ".join(damaged), Grade.BAD, hint)
    seen = f"{len(cache.folders())} entries, {size / 2**30:.1f} GiB, whole" if size else "empty"
    return Finding("cache", seen, Grade.GOOD)


def _mirrors(lacking: list[str]) -> Finding:
    """The mirrors that box and Kubernetes are built from; what is in the cache needs them no more."""
    grade = Grade.BAD if lacking else Grade.NOTE
    if not Path(HELPER).exists():
        return Finding("mirrors", "no apt on this host", grade, "box and Kubernetes are built on Debian 12")
    try:
        asked = releases(configured())
        quiet = silent(asked)
    except LabError as error:
        return Finding("mirrors", error.message, grade, error.hint)
    if quiet:
        told = "; ".join(f"{address}: {words}" for address, words in quiet.items())
        built = f"up builds {' and '.join(lacking)} from them"
        hint = built if lacking else "only ./inv up --refresh needs them: the cache is filled"
        return Finding("mirrors", f"{len(quiet)} of {len(asked)} do not answer: {told}", grade, hint)
    return Finding("mirrors", f"{len(asked)} configured, all answer", Grade.GOOD)


def _payload(definition: Definition) -> Finding:
    source = definition.kubernetes.source
    try:
        chosen, why = choose(source, definition.kubernetes.version)
    except LabError as error:
        return Finding("Kubernetes", error.message, Grade.BAD, error.hint)
    return Finding("Kubernetes", f"{chosen.version}, source {why}", Grade.GOOD)
