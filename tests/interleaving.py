"""Two real processes that go forward by one step on a file system at a time, in the order that a test wants.

A step is what a process does from one of its calls on the file system to the next (Python's audit events, which come
before the call): between two of them the other process may do whatever it wants.
"""

from __future__ import annotations

import multiprocessing
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

#: What one process may do to another's files, or be hindered from (audit events, see "Audit events table" of Python).
CALLS = frozenset({"open", "os.mkdir", "os.rmdir", "os.remove", "os.rename", "os.listdir", "os.scandir", "fcntl.flock"})

#: Seconds within which a process that may go on must come to its next step.
STEP_SECONDS = 30.0

Tell = Callable[[str], None]
Act = Callable[[Path, Tell], str]


@dataclass
class Walker:
    """One process: ``act`` in a folder. It stands before its first step when it is made."""

    process: BaseProcess
    pipe: Connection
    told: list[str]
    name: str
    outcome: str = ""
    steps: list[str] = field(default_factory=list)

    def step(self) -> bool:
        """Let it do one step; False when it has come to its end."""
        if self.outcome:
            return False
        self.pipe.send("go")
        return self.arrive()

    def arrive(self) -> bool:
        """Wait until it stands before its next step, or has ended."""
        while True:
            assert self.pipe.poll(STEP_SECONDS), f"{self.name} stands still after {self.steps}"
            kind, text = self.pipe.recv()
            if kind == "told":
                self.told.append(f"{self.name} {text}")
                continue
            if kind == "end":
                self.outcome = text
                return False
            self.steps.append(text)
            return True

    def run(self, most: int = sys.maxsize) -> None:
        """Let it do so many steps, or all that are left."""
        for _ in range(most):
            if not self.step():
                return


@contextmanager
def walking(folder: Path, acts: Sequence[tuple[str, Act]]) -> Iterator[tuple[list[Walker], list[str]]]:
    """A process for each (name, act), all before their first step; and what they tell, in the order of time."""
    told: list[str] = []
    walkers = [_start(folder, name, act, told) for name, act in acts]
    try:
        for walker in walkers:
            walker.arrive()
        yield walkers, told
    finally:
        for walker in walkers:
            walker.pipe.close()
            walker.process.kill()
            walker.process.join()


def _start(folder: Path, name: str, act: Act, told: list[str]) -> Walker:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_walk, args=(folder, act, theirs), daemon=True)
    process.start()
    theirs.close()
    return Walker(process, ours, told, name)


def _walk(folder: Path, act: Act, pipe: Connection) -> None:
    def before(event: str, args: tuple[object, ...]) -> None:
        if event in CALLS and (event == "fcntl.flock" or _inside(folder, args)):
            pipe.send(("step", f"{event} {args[0]}"))
            pipe.recv()

    sys.addaudithook(before)
    try:
        outcome = act(folder, lambda text: pipe.send(("told", text)))
    except BaseException:  # noqa: BLE001 — whatever it was, the test shows it
        outcome = traceback.format_exc()
    pipe.send(("end", outcome))


def _inside(folder: Path, args: tuple[object, ...]) -> bool:
    """Is it about a file of the folder? (A removal of a whole tree names what it removes by its last part alone.)"""
    name = str(args[0])
    return name.startswith(str(folder)) or "/" not in name
