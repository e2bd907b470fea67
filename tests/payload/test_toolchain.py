"""What is compiled is compiled in a file system of its own: it sees nothing of the host, and leaves nothing on it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import needs
import pytest

from lab.command import Result
from lab.payload.images import Packages
from lab.payload.toolchain import WORK, Toolchain
from lab.waiting import wait_for

pytestmark = needs.root


@pytest.fixture
def toolchain(tmp_path: Path) -> Toolchain:
    """A file system with a shell and a few programs of the host's, in a folder with a space in its name."""
    root = tmp_path / "the root"
    for path, source in Packages(Path("/")).programs(("dash", "ls", "env", "ip", "sleep"), "/bin").items():
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    return Toolchain.at(root, tmp_path / "the work")


def inside(toolchain: Toolchain, script: str, folder: Path = WORK) -> Result:
    return toolchain.run(["dash", "-c", script], folder=folder, label="a script", timeout=30.0)


def test_it_works_in_its_own_folder(toolchain: Toolchain) -> None:
    (toolchain.work / "given").write_text("text")
    done = inside(toolchain, "read line < given; echo $line > made; echo $PWD > $TMPDIR/file; echo > /dev/null")
    assert (done.stderr, done.status) == ("", 0)
    assert (toolchain.work / "made").read_text() == "text\n"
    assert (toolchain.work / "tmp/file").read_text() == f"{WORK}\n"


def test_its_file_system_cannot_be_written(toolchain: Toolchain) -> None:
    done = inside(toolchain, "echo > /made")
    assert "Read-only file system" in done.stderr
    assert not (toolchain.root / "made").exists()


def test_it_sees_nothing_of_the_host(toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    done = inside(toolchain, "env; ls -d /*; ip -o link", Path("/"))
    assert done.ok
    assert "GOFLAGS" not in done.stdout
    assert {"/proc", "/home", "/etc"}.isdisjoint(done.stdout.split())
    links = [line.split()[1] for line in done.stdout.splitlines() if "mtu" in line]
    assert links == ["lo:"]


def test_what_it_mounts_does_not_reach_the_host(toolchain: Toolchain) -> None:
    assert inside(toolchain, "ls /work /dev/null").ok
    assert str(toolchain.root.parent) not in Path("/proc/self/mounts").read_text()
    assert list((toolchain.root / "work").iterdir()) == list((toolchain.root / "dev").iterdir()) == []


def test_a_failure_says_what_was_run_and_not_how(toolchain: Toolchain) -> None:
    done = inside(toolchain, "echo why >&2; exit 3")
    assert (done.command, done.status, done.tail()) == ("a script", 3, "why")


PARENT = """
import sys
from pathlib import Path
from lab.payload.toolchain import Toolchain
root, work = map(Path, sys.argv[1:])
Toolchain.at(root, work).run(["dash", "-c", "echo > started; sleep 300"], label="", timeout=300.0)
"""


def test_killed_it_leaves_a_file_system_that_can_be_removed(toolchain: Toolchain) -> None:
    project = Path(__file__).parents[2]
    argv = [sys.executable, "-c", PARENT, str(toolchain.root), str(toolchain.work)]
    parent = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(project)})
    wait_for("the command's start", (toolchain.work / "started").exists, bool, seconds=20)
    rooted = [pid for pid in Path("/proc").glob("[0-9]*") if _root_of(pid) == str(toolchain.root)]
    assert rooted, "the sleeping command should be there: else this test shows nothing"
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_for("it to end", lambda: [pid for pid in rooted if pid.exists()], lambda living: not living, seconds=10)
    shutil.rmtree(toolchain.root)


def _root_of(process: Path) -> str:
    try:
        return str((process / "root").readlink())
    except OSError:
        return ""  # it has ended
