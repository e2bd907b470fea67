"""What machines need of the kernel is tried for real, and nothing of the trial stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import needs
import pytest

from lab import cgroups
from lab.definition import load
from lab.identity import Identity
from lab.plan.site import ContainerSite
from lab.project import FOLDER
from lab.requirements import kernel
from lab.requirements.finding import Finding, Grade
from lab.requirements.scope import Scope
from lab.stage import Stage
from lab.topology import derive


def found(place: Path) -> dict[str, Finding]:
    return {finding.subject: finding for finding in kernel.trial(place)}


@needs.root
class TestForReal:
    """On this host, as root."""

    def test_a_host_that_can_make_labs_can_do_all_of_it(self, tmp_path: Path) -> None:
        needs.programs("unshare", "ip", "mount")
        assert {subject: finding.grade for subject, finding in found(tmp_path).items()} == {
            "namespaces": Grade.GOOD,
            "network": Grade.GOOD,
            "overlay": Grade.GOOD,
        }

    def test_nothing_of_it_stays(self, tmp_path: Path) -> None:
        """Looked at in namespaces of the test's own: on the host itself others' networks and mounts come and go."""
        script = """
import subprocess, sys
from pathlib import Path
from lab.requirements import kernel
def seen():
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    return links, Path("/proc/self/mountinfo").read_text()
before = seen()
print(*(found.grade for found in kernel.trial(Path(sys.argv[1]))))
sys.exit(before != seen())
        """
        done = subprocess.run(
            ["unshare", "--net", "--mount", sys.executable, "-c", script, str(tmp_path)],
            env={**os.environ, "PYTHONPATH": str(FOLDER)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        assert done.stdout.split() == [Grade.GOOD] * 3
        assert list(tmp_path.iterdir()) == []

    def test_a_file_system_that_takes_no_overlay_is_named(self, tmp_path: Path) -> None:
        """As in a container whose root is an overlay itself: the kernel refuses one on such a file system."""
        script = """
            mount -t tmpfs none "$1" && cd "$1" && mkdir lower upper work merged &&
            mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged && mkdir merged/lxc &&
            PYTHONPATH=$2 "$3" -c 'import sys; from pathlib import Path; from lab.requirements import kernel
for found in kernel.trial(Path(sys.argv[1])): print(found.subject, found.grade, found.seen)' merged/lxc
        """
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), str(FOLDER), sys.executable],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
        assert said["network"].startswith("good")
        assert said["overlay"].startswith("bad overlay: "), said

    def test_where_no_namespace_can_be_made_that_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As in a container without the right to (capsh(1) is not everywhere: setpriv(1) takes the right away)."""
        needs.programs("setpriv")
        whole = kernel.run

        def without_right(argv: list[str], **more: object) -> object:
            return whole(["setpriv", "--bounding-set", "-sys_admin", "--", *argv], **more)  # type: ignore[arg-type]

        monkeypatch.setattr(kernel, "run", without_right)
        (only,) = kernel.trial(tmp_path)
        assert (only.subject, only.grade) == ("namespaces", Grade.BAD)
        assert "Operation not permitted" in only.seen and "namespaces" in only.hint
        assert list(tmp_path.iterdir()) == []


def test_without_root_nothing_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (only,) = kernel.trial(tmp_path)
    assert (only.grade, only.seen) == (Grade.GOOD, "not tried without root")


@pytest.mark.parametrize(
    ("stage", "grade"),
    [
        (Stage.MACHINES, Grade.NOTE),
        (Stage.LOADBALANCER, Grade.NOTE),
        (Stage.CONTROL_PLANE, Grade.BAD),
        (Stage.WORKERS, Grade.BAD),
    ],
)
def test_controllers_that_only_a_kubelet_needs_stop_no_lab_without_one(
    stage: Stage, grade: Grade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a small board whose kernel is told to do without the controller memory."""
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io pids\n")
    there = SimpleNamespace(version=lambda: cgroups.version(tmp_path), missing=lambda: cgroups.missing(tmp_path))
    monkeypatch.setattr(kernel, "control_groups", there)
    topology = derive(load(FOLDER / "configs" / "ha.yaml"), "")
    scope = Scope(topology, ContainerSite(Identity("ha", tmp_path)), stage, (), topology.nodes)
    found = kernel.cgroups(scope)
    assert (found.grade, found.seen) == (grade, "v2 without memory")


def test_the_kernels_log_must_be_a_device(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert kernel.log(Path("/dev/null")).grade is Grade.GOOD
    for absent in (tmp_path / "file", tmp_path / "none"):
        assert kernel.log(absent).grade is Grade.BAD
