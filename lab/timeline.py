"""Where the time went: phases with a machine, a beginning and an end, told as they happen and stored at the end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Phase:
    """One phase of work.

    ``machine`` is "" for the host itself; ``start`` and ``duration`` are in seconds, ``start`` counted from the
    beginning of the timeline; ``ok`` is false for a phase that failed or was interrupted.
    """

    machine: str
    name: str
    start: float
    duration: float
    ok: bool


class Listener(Protocol):
    """Who wants to see phases and lines while they happen (the console, a test)."""

    def begin(self, machine: str, phase: str) -> None:
        """A phase began."""

    def line(self, machine: str, text: str) -> None:
        """The machine, or the host for "", said something."""

    def end(self, phase: Phase) -> None:
        """A phase ended."""


class Timeline:
    """Collects phases; may be used from several threads at once."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._begun = time.monotonic()
        self._phases: list[Phase] = []
        self._lock = threading.Lock()

    @contextmanager
    def phase(self, name: str, machine: str = "") -> Iterator[None]:
        """Measure what happens inside the with-block."""
        start = time.monotonic()
        self._listener.begin(machine, name)
        ok = False
        try:
            yield
            ok = True
        finally:
            phase = Phase(machine, name, start - self._begun, time.monotonic() - start, ok)
            with self._lock:
                self._phases.append(phase)
            self._listener.end(phase)

    def line(self, text: str, machine: str = "") -> None:
        """Hand one line of output on."""
        self._listener.line(machine, text)

    @property
    def elapsed(self) -> float:
        """Seconds since the timeline began."""
        return time.monotonic() - self._begun

    @property
    def phases(self) -> list[Phase]:
        """The phases that ended, in the order of their beginning."""
        with self._lock:
            return sorted(self._phases, key=lambda phase: phase.start)

    def store(self, file: Path) -> None:
        """Write all phases and the total as JSON."""
        data = {"total": self.elapsed, "phases": [asdict(phase) for phase in self.phases]}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(data, indent=1) + "\n")
