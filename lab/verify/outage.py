"""What a client suffered: the outage, by the connections it tried. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab.verify.recorded import Connection

#: Seconds to the answer after which a connection counts as failed (DESIGN.md, Proving).
SLOW = 0.1

#: Connections a second below which the client was too busy to tell (DESIGN.md, Proving); it starts 50.
MIN_RATE = 40.0

#: Seconds over which the rate is taken, so that a stall cannot hide in a long average.
RATE_WINDOW = 1.0


def failed(connection: Connection) -> bool:
    """Refused, wrong, silent or too slow."""
    return connection.outcome != "ok" or connection.latency > SLOW


@dataclass(frozen=True)
class Outage:
    """From the start of the first failed connection to the start of the first after which all succeed.

    ``end`` is None when that did not come: the client was still failing when it was last seen.
    """

    start: float
    end: float | None
    failures: int
    slow: int

    @property
    def seconds(self) -> float | None:
        """How long; None when it had not ended."""
        return None if self.end is None else self.end - self.start


def find(connections: Sequence[Connection]) -> Outage | None:
    """The outage in these connections (in the order of their starts); None when all succeeded."""
    bad = [index for index, connection in enumerate(connections) if failed(connection)]
    if not bad:
        return None
    first, last = bad[0], bad[-1]
    after = connections[last + 1].start if last + 1 < len(connections) else None
    slow = sum(1 for index in bad if connections[index].outcome == "ok")
    return Outage(connections[first].start, after, len(bad), slow)


def between(connections: Sequence[Connection], start: float, end: float) -> list[Connection]:
    """Those that started in [start, end)."""
    return [connection for connection in connections if start <= connection.start < end]


def worst_rate(connections: Sequence[Connection], start: float, end: float) -> float:
    """Connections a second in the worst window of RATE_WINDOW seconds between two moments.

    The schedule catches up after a stall, so windows slide over starts and are never cut short at the edges.
    """
    if end - start < RATE_WINDOW:
        return len(between(connections, start, end)) / (end - start) if end > start else 0.0
    starts = [c.start for c in connections if start <= c.start < end]
    worst = float("inf")
    low = high = 0
    # The count can only be smallest right after a start has left the window: look there, and at the beginning.
    for left in [start, *(s + 1e-6 for s in starts)]:
        right = left + RATE_WINDOW
        if right > end:
            break
        while low < len(starts) and starts[low] < left:
            low += 1
        high = max(high, low)
        while high < len(starts) and starts[high] < right:
            high += 1
        worst = min(worst, (high - low) / RATE_WINDOW)
    return worst
