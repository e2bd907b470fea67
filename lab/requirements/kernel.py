"""What machines in containers need of the host's kernel, by trying it where nothing of it stays."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lab import cgroups as control_groups
from lab.command import run
from lab.errors import LabError
from lab.providers.namespace import ENTER_SCRIPT
from lab.requirements.finding import Finding, Grade
from lab.requirements.scope import Scope

TRIAL = Path(__file__).with_name("kernel.sh")

#: Seconds for the trial: some hundredths, unless modules have to be loaded.
TRIAL_SECONDS = 10.0

#: What is tried, the finding that it belongs to, and what its absence means.
TRIED = {
    "bridge": ("network", "machines hang on a bridge: the kernel's module bridge"),
    "veth": ("network", "machines are wired by veth pairs: the kernel's module veth"),
    "overlay": ("overlay", "machines share the box's root through overlayfs, on a file system that takes it"),
}

NO_NAMESPACES = "this host (a container itself?) lets nobody make namespaces"


def trial(place: Path) -> Iterator[Finding]:
    """Namespaces, a bridge, a veth pair and an overlay, in ``place`` (a folder that exists); needs root."""
    if os.geteuid() != 0:
        yield Finding("namespaces", "not tried without root", Grade.GOOD)
        return
    with tempfile.TemporaryDirectory(dir=place, prefix=".halab-trial-") as folder:
        enter = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", str(ENTER_SCRIPT)]
        try:
            tried = run([*enter, str(TRIAL), folder], timeout=TRIAL_SECONDS)
        except LabError as error:
            yield Finding("namespaces", error.message, Grade.BAD, NO_NAMESPACES)
            return
    if not tried.ok:
        yield Finding("namespaces", tried.tail(1), Grade.BAD, NO_NAMESPACES)
        return
    yield Finding("namespaces", "network, mount and process namespaces can be made", Grade.GOOD)
    failed = dict(line.split(": ", 1) for line in tried.stdout.splitlines())
    for subject in dict.fromkeys(subject for subject, _ in TRIED.values()):
        asked = {what: means for what, (of, means) in TRIED.items() if of == subject}
        wrong = {what: means for what, means in asked.items() if what in failed}
        yield Finding(
            subject,
            "; ".join(f"{what}: {failed[what]}" for what in wrong) or f"{' and '.join(asked)} can be made",
            Grade.BAD if wrong else Grade.GOOD,
            "; ".join(wrong.values()),
        )


def cgroups(scope: Scope) -> Finding:
    """Control groups, of which containers have this kernel's: what is lacking stops none that ends before a kubelet."""
    if lacking := control_groups.missing():
        seen = f"{control_groups.version()} without {', '.join(lacking)}"
        grade = Grade.BAD if scope.stage.has_kubernetes else Grade.NOTE
        return Finding("cgroups", seen, grade, "the kubelet needs them: see cgroup_disable in /proc/cmdline")
    return Finding("cgroups", control_groups.version(), Grade.GOOD)


def log(device: Path = Path("/dev/kmsg")) -> Finding:
    """The kernel's log, which the kubelet opens: each machine is given the host's."""
    try:
        there = stat.S_ISCHR(device.stat().st_mode)
    except OSError:
        there = False
    if there:
        return Finding("kernel log", f"{device} is there", Grade.GOOD)
    hint = "the kubelet reads it; a host that is a container itself must be given it"
    return Finding("kernel log", f"there is no {device}", Grade.BAD, hint)
