"""What a client suffered: the outage, by the connections it tried. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from lab.verify.pace import NATIVE
from lab.verify.recorded import Connection

#: Seconds over which the rate is taken, so that a stall cannot hide in a long average.
RATE_WINDOW = 1.0


def failed(connection: Connection, slow: float = NATIVE.slow) -> bool:
    """Refused, wrong, silent, or slower than ``slow`` seconds."""
    return broken(connection) or connection.latency > slow


def broken(connection: Connection) -> bool:
    """Refused, wrong or silent."""
    return connection.outcome != "ok"


def excused(connections: Sequence[Connection]) -> list[Connection]:
    """The same connections without the time in which the client itself stood still.

    A client that starts a connection late was not running just before: whatever was under way then waited for the
    client, not for the lab. Failures stay failures.
    """
    pauses = _union((c.start - c.late, c.start) for c in connections if c.late > 0)
    found, first = [], 0
    for c in connections:
        end = c.start + c.latency
        while first < len(pauses) and pauses[first][1] <= c.start:
            first += 1
        own = 0.0
        for left, right in pauses[first:]:
            if left >= end:
                break
            own += min(right, end) - max(left, c.start)
        found.append(replace(c, latency=c.latency - own))
    return found


def _union(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for left, right in sorted(spans):
        if joined and left <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], right)
        else:
            joined.append((left, right))
    return joined


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


def find(connections: Sequence[Connection], bad: Callable[[Connection], bool] = failed) -> Outage | None:
    """The outage in these connections (in the order of their starts); None when all succeeded.

    ``bad`` says which count as failed.
    """
    found = [index for index, connection in enumerate(connections) if bad(connection)]
    if not found:
        return None
    first, last = found[0], found[-1]
    after = connections[last + 1].start if last + 1 < len(connections) else None
    slow = sum(1 for index in found if connections[index].outcome == "ok")
    return Outage(connections[first].start, after, len(found), slow)


def between(connections: Sequence[Connection], start: float, end: float) -> list[Connection]:
    """Those that started in [start, end)."""
    return [connection for connection in connections if start <= connection.start < end]


def worst_rate(connections: Sequence[Connection], start: float, end: float) -> float:
    """Connections a second in the worst whole second between two moments, each counted where its schedule had it.

    One that was started late was still started: it counts. One that was given up was not.
    """
    due = sorted(c.start - c.late for c in connections)
    if end - start < RATE_WINDOW:
        return _count(due, start, end) / (end - start) if end > start else 0.0
    seconds = int((end - start) / RATE_WINDOW)
    return min(
        _count(due, start + n * RATE_WINDOW, start + (n + 1) * RATE_WINDOW) / RATE_WINDOW for n in range(seconds)
    )


def _count(due: Sequence[float], start: float, end: float) -> int:
    return bisect_left(due, end) - bisect_left(due, start)


def longest_pause(connections: Sequence[Connection], start: float, end: float) -> float:
    """The longest time between two starts that touches the span: an outage as long could hide in it (seconds)."""
    starts = [c.start for c in connections]
    pairs = [(left, right) for left, right in pairwise(starts) if right > start and left < end]
    return max((right - left for left, right in pairs), default=end - start)
