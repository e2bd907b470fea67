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

#: Seconds of nothing but successes after which an outage is over.
CLEAN = 1.0


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
    pauses = _pauses(connections)
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


def _pauses(connections: Sequence[Connection]) -> list[tuple[float, float]]:
    """When the client was not running: from when a connection was due until it was started."""
    return union((c.start - c.late, c.start) for c in connections if c.late > 0)


def stood_still(connections: Sequence[Connection], start: float, end: float) -> float:
    """Seconds between two moments in which the client was behind its schedule."""
    return sum(max(0.0, min(right, end) - max(left, start)) for left, right in _pauses(connections))


def union(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans of time, those that touch joined, in their order."""
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

    "All" is CLEAN seconds of them; ``over`` is False where those were not seen: it lasted until ``end`` at least.
    A client that stood still did not see the edges: it may have begun at ``earliest``, when the next connection was due
    after the last that was well, and is known to have lasted until ``surely`` only.
    """

    start: float
    end: float
    over: bool
    failed: tuple[Connection, ...]
    earliest: float
    surely: float

    @property
    def seconds(self) -> float:
        """How long; at least, where it was not seen to be over."""
        return self.end - self.start

    @property
    def least(self) -> float:
        """How long it certainly lasted."""
        return max(0.0, self.surely - self.start)

    @property
    def most(self) -> float:
        """How long it may have lasted."""
        return self.end - self.earliest

    @property
    def slow(self) -> int:
        """How many of the failed were answered, but too late."""
        return sum(not broken(connection) for connection in self.failed)

    @property
    def alone(self) -> bool:
        """Is it one connection, lost alone among others that were well?"""
        return len(self.failed) == 1


def outages(
    connections: Sequence[Connection],
    bad: Callable[[Connection], bool] = failed,
    until: float | None = None,
    *,
    rate: float = NATIVE.rate,
) -> list[Outage]:
    """The outages in these connections (in the order of their starts), watched ``until`` (else: the last one's start).

    ``bad`` says which count as failed. Two failures with less than CLEAN seconds of success between belong together.
    ``rate`` connections were due each second.
    """
    found: list[Outage] = []
    last = until if until is not None else max((c.start for c in connections), default=0.0)
    for index, connection in enumerate(connections):
        if not bad(connection):
            continue
        end = connections[index + 1].start if index + 1 < len(connections) else max(last, connection.start)
        well = connections[index - 1].start if index else connection.start
        earliest = min(connection.start, well + 1 / rate)
        surely = min(end, connection.start - connection.late + 1 / rate)
        one = Outage(connection.start, end, last - end >= CLEAN, (connection,), earliest, surely)
        belongs = bool(found) and connection.start - found[-1].end < CLEAN
        found.append(_one([found.pop(), one]) if belongs else one)
    return found


def joined(found: Sequence[Outage]) -> Outage | None:
    """Several outages as one, from the first one's start to the last one's end; None for none."""
    return _one(found) if found else None


def _one(found: Sequence[Outage]) -> Outage:
    first, last = found[0], found[-1]
    every = tuple(connection for one in found for connection in one.failed)
    return Outage(first.start, last.end, last.over, every, first.earliest, max(one.surely for one in found))


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
    begins = [start + n * RATE_WINDOW for n in range(int((end - start) / RATE_WINDOW))]
    # What is left over at the end is judged with what came before it.
    return min(_count(due, begin, begin + RATE_WINDOW) / RATE_WINDOW for begin in [*begins, end - RATE_WINDOW])


def _count(due: Sequence[float], start: float, end: float) -> int:
    return bisect_left(due, end) - bisect_left(due, start)


def longest_pause(connections: Sequence[Connection], start: float, end: float) -> float:
    """The longest time between two starts that touches the span: an outage as long could hide in it (seconds)."""
    starts = [c.start for c in connections]
    pairs = [(left, right) for left, right in pairwise(starts) if right > start and left < end]
    return max((right - left for left, right in pairs), default=end - start)
