"""``./inv test`` that is interrupted: its tests remove what they made before it ends."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import CTRL_C, Terminal, terminal

FOLDER = Path(__file__).resolve().parents[2]

#: A check that has made something, and takes a while to remove it.
CHECK = """
import pathlib, sys, time
made = pathlib.Path(sys.argv[1])
made.touch()
print("made", flush=True)
try:
    time.sleep(60)  # the interrupt that is the test comes meanwhile
finally:
    print("removing", flush=True)
    time.sleep(1)  # longer than the quarter of a second after which it was killed before
    made.unlink()
"""

PROGRAM = """
import runpy, sys
from lab.commands import test
words = [sys.executable, "-c", *sys.argv[1:]]
test.checks = lambda fast, everything: [("slow", words)]
sys.argv = ["inv", "test"]
runpy.run_module("lab.program", run_name="__main__")
"""


def once(seen: Terminal) -> None:
    seen.press(CTRL_C)


def twice(seen: Terminal) -> None:
    seen.press(CTRL_C)
    seen.shows("removing")
    seen.press(CTRL_C)
    seen.shows("still open: what the tests have made: the next ./inv test removes it")


def ended(seen: Terminal) -> None:
    seen.signal(signal.SIGTERM)


@pytest.mark.parametrize("interrupt", [once, twice, ended])
def test_they_remove_what_they_made(interrupt: Callable[[Terminal], None], tmp_path: Path) -> None:
    made = tmp_path / "made"
    with terminal([sys.executable, "-c", PROGRAM, CHECK, str(made)], FOLDER) as seen:
        seen.shows("made")
        assert made.exists()
        interrupt(seen)
        assert seen.ends() == 130
    assert not made.exists()
