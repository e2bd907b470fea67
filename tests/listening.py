"""Who listens to a timeline in tests."""

from __future__ import annotations

from lab.timeline import Phase


class Deaf:
    """A listener that nobody asks."""

    def begin(self, machine: str, phase: str) -> None: ...

    def line(self, machine: str, text: str) -> None: ...

    def end(self, phase: Phase) -> None: ...
