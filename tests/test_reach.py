"""Waiting for machines that boot: until each answers, with a deadline that names who did not, and interruptible."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from lab.command import Result
from lab.errors import LabError
from lab.reach import wait_reachable


@dataclass
class Booting:
    """A machine that answers from its ``ready``-th question on."""

    name: str
    ready: int
    asked: int = field(default=0)

    def run(self, script: str, args: Sequence[str] = (), **options: Any) -> Result:
        self.asked += 1
        ok = self.asked >= self.ready
        return Result(script, 0 if ok else 255, "", "" if ok else "No route to host", 0.1, self.name)


def test_it_waits_for_the_last_one() -> None:
    machines = [Booting("quick", 1), Booting("slow", 3)]
    wait_reachable(machines, seconds=10.0)  # type: ignore[arg-type]
    assert machines[1].asked == 3


def test_at_the_deadline_it_names_who_did_not_answer_and_why() -> None:
    with pytest.raises(LabError, match="dead runs, but does not answer over ssh after 0 s") as caught:
        wait_reachable([Booting("well", 1), Booting("dead", 99)], seconds=0.0)  # type: ignore[list-item]
    assert "No route to host" in caught.value.message
    assert "well:" not in caught.value.message


PROGRAM = """
import sys
from lab.command import run
from lab.reach import wait_reachable

class Silent:
    name = "silent"
    def run(self, script, **options):
        print("asked", flush=True)
        return run(["sleep", "300"])

wait_reachable([Silent()])
"""


def test_an_interrupt_ends_the_waiting() -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"asked\n"
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert b"KeyboardInterrupt" in err
