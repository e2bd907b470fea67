"""``./inv logs``."""

from __future__ import annotations

import time

from lab import console
from lab.context import open_lab
from lab.operations.collection import collect


def run(name: str, definition: str) -> None:
    """Gather from all machines at once, and say where the archive is."""
    started = time.monotonic()
    made = collect(open_lab(name, definition))
    told = f"; {made.unanswered} questions were not answered (see *.error in it)" if made.unanswered else ""
    took = time.monotonic() - started
    console.say(f"{made.archive}: {made.files} files from {made.machines} machines, {took:.1f} s{told}", "green")
