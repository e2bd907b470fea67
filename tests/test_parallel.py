"""Threads that work on machines end when the program is interrupted, and their commands with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.command import run
from lab.console import fail as fail_on_console
from lab.errors import LabError
from lab.parallel import gather, workers
from lab.waiting import wait_for

PROGRAM = """
import sys
from lab.command import run
from lab.parallel import workers

def work(name):
    while True:  # the next command of a thread whose command was ended must not go on either
        run(["sh", "-c", f"echo $$ >> {sys.argv[1]}/{name}; exec sleep 300"]).check()

with workers(2) as pool:
    for future in [pool.submit(work, "a"), pool.submit(work, "b"), pool.submit(work, "never")]:
        future.result()
"""


def test_all_work_has_ended_when_the_block_has() -> None:
    with workers(3) as pool:
        futures = [pool.submit(run, ["sleep", "0.1"]) for _ in range(3)]
    assert all(future.done() for future in futures)


def test_an_error_waits_for_what_is_under_way() -> None:
    with pytest.raises(ValueError, match="mine"), workers(1) as pool:
        future = pool.submit(run, ["sleep", "0.2"])
        raise ValueError("mine")
    assert future.result().ok


def test_an_interrupt_ends_every_threads_command(tmp_path: Path) -> None:
    program = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], stderr=subprocess.PIPE)
    begun = [tmp_path / name for name in "ab"]
    wait_for("both commands", lambda: [file.exists() and file.read_text() for file in begun], all, seconds=10)
    program.send_signal(signal.SIGINT)
    _, errors = program.communicate(timeout=15)
    assert b"KeyboardInterrupt" in errors
    assert not (tmp_path / "never").exists(), "nothing new begins"
    for name in "ab":
        for pid in map(int, (tmp_path / name).read_text().split()):
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


def test_every_failure_that_somebody_can_mend_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(name: str) -> None:
        raise LabError(f"{name} is ill", f"look at {name}")

    with workers(3) as pool:
        ill = pool.submit(fail, "m2")
        with pytest.raises(LabError, match="m2 is ill") as caught:
            gather([ill, pool.submit(ill.result), pool.submit(fail, "m3"), pool.submit(len, "fine")])
    fail_on_console(caught.value)
    said = capsys.readouterr().err
    assert said.count("m2 is ill") == 1, "once, though another waited for it"
    assert "m3 is ill" in said
    assert "look at m3" in said
