"""A recorded process is found again, and nothing else is ever taken for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.providers.libvirt.process import Process, load, save


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that would go on for a minute."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def of(process: subprocess.Popen[bytes]) -> Process:
    found = Process.of(process.pid)
    assert found is not None
    return found


def test_a_recorded_process_is_found_again(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    save(tmp_path / "run" / "it.json", of(sleeper))
    assert load(tmp_path / "run" / "it.json") == of(sleeper)
    assert of(sleeper).name == "sleep"


def test_it_ends_and_is_gone(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    recorded = of(sleeper)
    save(tmp_path / "it.json", recorded)
    assert recorded.end(5.0)
    assert not recorded.alive
    assert load(tmp_path / "it.json") is None
    assert not recorded.end(5.0), "there is nothing left to end"
    with pytest.raises(ChildProcessError):
        os.waitpid(recorded.pid, os.WNOHANG)  # no zombie is left of one that was our own child


def test_one_that_does_not_listen_is_killed() -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    deaf = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)
    assert deaf.stdout is not None
    deaf.stdout.readline()
    assert of(deaf).end(0.3)
    deaf.stdout.close()


def test_a_later_process_with_the_same_number_is_left_alone(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    gone = Process(sleeper.pid, of(sleeper).started - 1)
    save(tmp_path / "it.json", gone)
    assert load(tmp_path / "it.json") is None
    assert not gone.end(0.1)
    assert sleeper.poll() is None, "another process was ended in its place"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "started": 1}'])
def test_a_record_that_nobody_can_read_is_no_process(text: str, tmp_path: Path) -> None:
    (tmp_path / "it.json").write_text(text)
    assert load(tmp_path / "it.json") is None


def test_a_process_that_ended_uncollected_is_gone() -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert Process.of(process.pid) is None
    process.wait()
