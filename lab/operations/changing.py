"""What every command has in common that changes a lab: alone, and with nothing left open unsaid."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lab.command import LineSink
from lab.context import Lab, open_lab
from lab.faults.ledger import still_open
from lab.state import State


@contextmanager
def changing(state: State, warn: LineSink) -> Iterator[None]:
    """No other command changes the lab meanwhile. What is open at the end goes to ``warn``, however the block ends.

    Raises LabError when another command is at it.
    """
    with state.lock():
        try:
            yield
        finally:
            for one in still_open(state):
                warn(f"still open: {one}")


@contextmanager
def alone_with(name: str, definition: str, warn: LineSink) -> Iterator[Lab]:
    """A lab that is there, as it is once no other command changes it.

    Raises LabError when there is none, also where another command has just removed it, or when one is at it.
    """
    state = open_lab(name, definition).state  # where there is no lab, no folder is made for its lock
    with changing(state, warn):
        yield open_lab(name, definition)
