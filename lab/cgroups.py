"""Control groups: the version that a kernel runs with, and whether it has what Kubernetes needs of them."""

from __future__ import annotations

from pathlib import Path

#: Where they are mounted (cgroups(7)).
TOP = Path("/sys/fs/cgroup")

#: Controllers without which no kubelet starts, by version (kubeadm's system verification, its cgroup validators).
NEEDED = {
    "v1": frozenset({"cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"}),
    "v2": frozenset({"cpu", "cpuset", "memory", "pids"}),
}


def version(top: Path = TOP) -> str:
    """v2 where all controllers hang on one tree, else v1 (which may have a tree of version 2 without any beside it)."""
    return "v2" if (top / "cgroup.controllers").exists() else "v1"


def missing(top: Path = TOP) -> list[str]:
    """The controllers that the kernel lacks, or was told to do without, sorted."""
    if version(top) == "v2":
        there = (top / "cgroup.controllers").read_text().split()
    else:
        there = [name for folder in top.glob("*/") for name in folder.name.split(",")]
    return sorted(NEEDED[version(top)].difference(there))
