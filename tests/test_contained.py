"""A build's commands, and all that they started, end with the program that runs them, even when it is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import needs

from lab.contained import contained
from lab.waiting import wait_for

PARENT = """
import subprocess, sys
from lab.contained import contained
subprocess.run(contained(["sh", "-c", "sleep 300 & echo started >&2; wait"]), stderr=open(sys.argv[1], "w"))
"""


def test_a_command_sees_its_arguments_unchanged() -> None:
    argv = contained(["printf", "%s|", "a b", "--", "-x"])
    assert subprocess.run(argv, capture_output=True, check=True).stdout == b"a b|--|-x|"


def test_its_status_comes_through() -> None:
    assert subprocess.run(contained(["sh", "-c", "exit 7"])).returncode == 7


@needs.root
def test_descendants_end_when_the_program_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(log)], cwd=Path(__file__).parent.parent)
    wait_for("the command's start", lambda: log.exists() and "started" in log.read_text(), bool, seconds=10)
    inside = _descendants(parent.pid)
    assert len(inside) >= 2, "the sleeping grandchild should be there: else this test shows nothing"
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    living = lambda: [pid for pid in inside if Path(f"/proc/{pid}").exists()]  # noqa: E731
    wait_for("all of them to end", living, lambda pids: not pids, seconds=10)


@needs.root
def test_its_mounts_do_not_reach_the_host(tmp_path: Path) -> None:
    subprocess.run(contained(["sh", "-c", f"mount -t tmpfs tmpfs {tmp_path} && touch {tmp_path}/inside"]), check=True)
    assert not (tmp_path / "inside").exists()
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()


def _descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(grandchild for child in children for grandchild in _descendants(child))]
