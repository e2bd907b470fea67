"""A fault as a specification: all that is needed to do it, to undo it, and to tell of it later. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fault:
    """One fault: its kind, the machines that it is done to, and whatever else its kind wants to know."""

    kind: str
    targets: tuple[str, ...]
    parameters: Mapping[str, float | str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind} on {' and '.join(self.targets)}"
