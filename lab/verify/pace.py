"""How fast the client knocks, and how long it waits: on a processor of its own, and on an emulated one. Pure."""

from __future__ import annotations

from dataclasses import dataclass

#: The part of the rate that must be reached, or the client was too busy to tell.
ENOUGH = 0.8


@dataclass(frozen=True)
class Pace:
    """``rate``: connections started a second; ``patience``: seconds that each is given; ``slow``: seconds too many."""

    rate: float
    patience: float
    slow: float

    @property
    def least(self) -> float:
        """Connections a second below which the client was too busy to tell."""
        return ENOUGH * self.rate


#: What an outage is measured with: 50 connections a second, a second for each, slower than 100 ms counts as failed.
NATIVE = Pace(rate=50.0, patience=1.0, slow=0.1)

#: An emulated processor shakes hands in 50 to 500 ms when nothing else is to do (measured on two cores).
EMULATED = Pace(rate=5.0, patience=4.0, slow=2.0)


def pace_of(driver: str) -> Pace:
    """The pace for machines of a driver (qemu is plain emulation)."""
    return EMULATED if driver == "qemu" else NATIVE
