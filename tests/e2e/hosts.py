"""The host as it is at one moment, to be compared before and after a lab; and what on it belongs to a lab.

Other labs may come and go on the same host meanwhile (another clone's, another test run's): what carries their names is
left out of every comparison.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from running import MARK

#: How every object of a lab is called: the lab's name, cut to eight characters, and six hexadecimal digits.
LAB_NAME = re.compile(r"(?<![-a-z0-9])(?:lab-)?([a-z][-a-z0-9]{0,7}-[0-9a-f]{6})(?![0-9a-f])")

#: Figures that the kernel itself changes all the time, below /proc/sys (proc(5)).
VOLATILE = (
    "fs/aio-nr",
    "fs/dentry-state",
    "fs/file-nr",
    "fs/inode-nr",
    "fs/inode-state",
    "fs/quota/",
    "kernel/ns_last_pid",
    "kernel/perf_event_max_sample_rate",  # lowered by the kernel itself under load
    "kernel/pty/nr",
    "kernel/random/",
    "kernel/tainted",
    "net/netfilter/nf_conntrack_count",
)

#: What the first lab of a host leaves, and why that is right.
KEPT = (
    "/run/netns",  # iproute2 makes this mount once a boot, for all network namespaces (ip-netns(8))
    "lxc.pivot",  # LXC's own empty cgroup, one for all containers of the host, made at the first start of any
)

#: Where programs leave files that outlive them.
PLACES = ("/run", "/tmp", "/var/tmp", "/dev/shm", "/var/lib", "/var/log", "/var/cache", "/etc")

Facts = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Snapshot:
    """Sets of lines by what they are about, every setting of the kernel, and the control groups with a live process.

    Those in use belong to whoever runs in them: another program's come and go while a test looks. (A lab's own
    processes are found by name and mark, whatever group they are in.)
    """

    facts: Facts
    settings: Mapping[str, str] = field(repr=False)
    in_use: frozenset[str] = field(repr=False)

    def without_used(self, name: str, lines: frozenset[str]) -> list[str]:
        """The lines in order; of control groups only those in which nothing runs."""
        return sorted(lines - self.in_use if name == "cgroups" else lines)


def snapshot(init: int = 1) -> Snapshot:
    """Look at the host; ``init`` is another process 1 for a host that shares this one's kernel (see freshhost.py)."""
    root = Path("/" if init == 1 else f"/proc/{init}/root")
    looks: Mapping[str, Callable[[], Iterable[str]]] = {
        "network namespaces": lambda: _listing(root / "run/netns"),
        "links": lambda: (f"{link['ifname']} {link.get('operstate')}" for link in _ip("link")),
        "addresses": lambda: (
            f"{link['ifname']} {info['local']}/{info['prefixlen']}"
            for link in _ip("addr")
            for info in link["addr_info"]
        ),
        "routes": lambda: (
            _route(route) for family in ("-4", "-6") for route in _ip(family, "route", "show", "table", "all")
        ),
        "mounts": lambda: _mounts(init),
        "cgroups": _cgroups,
        "/var/lib/lxc": lambda: _listing(root / "var/lib/lxc"),
        "/run/halab": lambda: _listing(root / "run/halab"),
    }
    return Snapshot(
        {name: frozenset(look()) for name, look in looks.items()}, _settings(), frozenset(_cgroups_in_use())
    )


def differences(before: Snapshot, after: Snapshot, own: Iterable[str]) -> list[str]:
    """Every difference in words. ``own`` are the prefixes of the labs under test: what has any other is left out."""
    ours = set(own)
    found = []
    for name, was in before.facts.items():
        now = after.facts[name]
        found += [f"{name}: left behind: {line}" for line in after.without_used(name, now - was) if _counts(line, ours)]
        found += [f"{name}: gone: {line}" for line in before.without_used(name, was - now) if _counts(line, ours)]
    changed = {*before.settings.items()} ^ {*after.settings.items()}
    for setting in sorted({name for name, _ in changed}):
        found.append(f"/proc/sys/{setting}: {before.settings.get(setting)} → {after.settings.get(setting)}")
    return found


def _counts(line: str, own: set[str]) -> bool:
    if any(line == kept or line.endswith((f"/{kept}", f" {kept}")) for kept in KEPT):
        return False
    labs = set(LAB_NAME.findall(line))
    return not labs or bool(labs & own)


def left_of(prefix: str, folder: Path) -> list[str]:
    """All on this host that carries a lab's name, in words: processes, mounts, cgroups, files outside the clone."""
    found = [f"process {process}" for process in belonging(prefix, folder)]
    found += [f"mount {line}" for line in _mounts() if prefix in line or str(folder) in line]
    found += [f"cgroup {line}" for line in _cgroups() if prefix in line]
    listed = subprocess.run(
        ["find", *(place for place in PLACES if Path(place).is_dir()), "-xdev", "-name", f"*{prefix}*"],
        capture_output=True,
        text=True,
    )  # folders that vanish while it looks are no concern
    return found + [f"file {line}" for line in listed.stdout.splitlines()]


@dataclass(frozen=True)
class Process:
    """A process; ``started`` (in clock ticks since the boot) tells it from a later one of the same number.

    ``machine`` is true in the control groups of a lab's machine (what runs in it, and what LXC runs it with).
    """

    pid: int
    started: int
    words: str = field(compare=False)
    machine: bool = field(compare=False, default=False)

    @property
    def lives(self) -> bool:
        """Is it still there (and no zombie, which its parent only has to take note of)?"""
        state, started = _stat(Path(f"/proc/{self.pid}"))
        return started == self.started and state not in "ZX"


def belonging(prefix: str, folder: Path, mark: str = "", init: int = 1) -> set[Process]:
    """The processes that belong to a lab: by their words, control group or environment, or by a namespace of these.

    ``init`` is the process 1 of the host that the lab is on, as this machine counts (see snapshot).
    """
    telling = [prefix.encode(), os.fsencode(folder) + b"/"]
    entry = f"{MARK}={mark}".encode()
    everybody = [process for process in Path("/proc").iterdir() if process.name.isdigit()]
    not_ours = _ancestors()
    namespaces = _namespaces_of(prefix, everybody, init)
    found = set()
    for process in everybody:
        if int(process.name) in not_ours:
            continue
        words, groups = _read(process / "cmdline"), _read(process / "cgroup")
        marked = bool(mark) and entry in _read(process / "environ").split(b"\0")
        if marked or any(text in words or text in groups for text in telling) or namespaces & _namespaces(process):
            said = words.replace(b"\0", b" ").decode(errors="replace")
            one = Process(int(process.name), _stat(process)[1], said, telling[0] in groups)
            if one.lives:
                found.add(one)
    return found


def _namespaces_of(prefix: str, processes: Iterable[Path], init: int) -> set[str]:
    """The namespaces that the processes in a lab's control groups have and neither this one nor their host has."""
    inside = [process for process in processes if prefix.encode() in _read(process / "cgroup")]
    hosts = _namespaces(Path("/proc/self")) | _namespaces(Path(f"/proc/{init}"))
    return set().union(*(_namespaces(process) for process in inside)) - hosts


def _namespaces(process: Path) -> set[str]:
    """Such as {"net:[4026531992]", …}; empty for one that has ended."""
    try:
        return {str(name.readlink()) for name in (process / "ns").iterdir()}
    except OSError:
        return set()


def _stat(process: Path) -> tuple[str, int]:
    """State and start (proc_pid_stat(5), fields 3 and 22); ("X", 0) for one that has ended."""
    fields = _read(process / "stat").rpartition(b")")[2].split()
    return (fields[0].decode(), int(fields[19])) if len(fields) > 19 else ("X", 0)


def _ancestors() -> set[int]:
    """This process and those that it descends from: a test run in the clone's folder is not the lab's."""
    found, pid = set(), os.getpid()
    while pid > 0:
        found.add(pid)
        status = _read(Path(f"/proc/{pid}/status")).decode()
        parent = re.search(r"^PPid:\s*(\d+)", status, re.MULTILINE)
        pid = int(parent[1]) if parent else 0
    return found


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # the process has ended, or the setting can only be written
        return b""


def _listing(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []


def _ip(*words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        subprocess.run(["ip", "-json", *words], capture_output=True, text=True, check=True).stdout or "[]"
    )
    return found


def _route(route: Mapping[str, Any]) -> str:
    return " ".join(f"{key} {route[key]}" for key in ("table", "dst", "gateway", "dev", "prefsrc") if key in route)


def _mounts(init: int = 1) -> list[str]:
    """Type, source and place of each mount in the host's own mount namespace (that of process 1, proc(5))."""
    lines = [line.split(" - ") for line in Path(f"/proc/{init}/mountinfo").read_text().splitlines()]
    return [f"{after.split()[0]} {after.split()[1]} {before.split()[4]}" for before, after in lines]


def _cgroups() -> list[str]:
    top = Path("/sys/fs/cgroup")
    return [str(Path(folder).relative_to(top)) for folder, _, _ in os.walk(top)]


def remove_cgroups(prefix: str) -> None:
    """Remove the control groups that carry a lab's name, those inside others first; nothing may run in them."""
    top = Path("/sys/fs/cgroup")
    for group in sorted((Path(name) for name in _cgroups() if prefix in name), reverse=True):
        (top / group).rmdir()


def _cgroups_in_use() -> set[str]:
    """The control groups with a live process in them or below them (cgroups(7), cgroup.procs)."""
    top = Path("/sys/fs/cgroup")
    busy = [Path(group) for group in _cgroups() if _read(top / group / "cgroup.procs")]
    return {str(folder) for group in busy for folder in (group, *group.parents)}


def _settings() -> dict[str, str]:
    top = Path("/proc/sys")
    found = {}
    for folder, _, files in os.walk(top):
        for file in files:
            name = str((Path(folder) / file).relative_to(top))
            if not name.startswith(VOLATILE):
                found[name] = _read(top / name).decode(errors="replace").strip()
    return found
