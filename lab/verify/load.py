"""What load the record shows, and which failures it explains better than the lab does. Pure.

Load delays, it refuses nobody: only connections that met with silence, or were answered late, can be its doing. And it
delays whatever runs: the probes themselves, which come before all other programs of their machine, or most of the
other connections that were under way at the same time. It lies where the connections went, on the client's machine or
on the VIP's holder, and takes no more time from them than it took from the probes there.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lab.verify import holding, outage
from lab.verify.checks import shown
from lab.verify.recorded import Connection, Recorded
from lab.verify.records import Holder, PodAsked, Probe, ProbeSkipped

#: Seconds for which a probe waited for a processor, from which on others may have waited for as long as is given to a
#: connection: probes come before them, and on an idle machine they are late by less than a thousandth.
STARVED = 0.05


@dataclass(frozen=True)
class Wait:
    """A probe on ``source`` waited for a processor, from ``start`` to ``end`` (host's time)."""

    source: str
    start: float
    end: float

    def touches(self, start: float, end: float) -> bool:
        """Was it, at any time, between these moments?"""
        return self.start < end and self.end > start


class Load:
    """The load of one recorded case."""

    def __init__(self, recorded: Recorded) -> None:
        self.recorded = recorded

    def explains(self, failed: Sequence[Connection]) -> str:
        """How load explains these failed connections, all of them; "" when it does not.

        Each stands for its turn in the client's schedule: those that a wait explains stand together for no more time
        than the waits took.
        """
        waits: set[Wait] = set()
        waited, reasons = 0, []
        for connection in failed:
            met = self._met(connection)
            reason = _told(met[0]) if met else self._slowness(connection)
            if not reason:
                return ""
            reasons.append(reason)
            waits.update(met)
            waited += bool(met)
        enough = waited / self.recorded.pace.rate <= _seconds(waits)
        return reasons[0] if reasons and enough else ""

    def felt(self, slow: Sequence[Connection]) -> str:
        """What load any probe felt on any machine while these were under way; "" for none."""
        among = [(c.start, self._end(c)) for c in slow]
        return next((_told(wait) for _, wait in self._all if any(wait.touches(*span) for span in among)), "")

    def _met(self, connection: Connection) -> list[Wait]:
        """The waits that may have delayed a connection while it was under way."""
        if not _delayable(connection):
            return []
        start, end = connection.start, self._end(connection)
        return [wait for wait in self._waits if wait.touches(start, end)]

    def _end(self, connection: Connection) -> float:
        """When it was over: one without an answer was given all its time, also that in which its client stood still."""
        return connection.start + (self.recorded.pace.patience if outage.broken(connection) else connection.latency)

    def _slowness(self, connection: Connection) -> str:
        """That most others were slow, where the case's own doing loads the machines: before, slow means failed."""
        start, end = connection.start, self._end(connection)
        if start < self._own or not _delayable(connection):
            return ""
        connections = self.recorded.connections
        among = connections[bisect_left(self._starts, start) : bisect_left(self._starts, end)]
        answered = [other for other in among if not outage.broken(other)]
        slow = sum(outage.failed(other, self.recorded.pace.slow) for other in answered)
        return f"{slow} of {len(answered)} answers came slowly then" if slow and 2 * slow >= len(answered) else ""

    @cached_property
    def _own(self) -> float:
        """When the case itself began to load the machines: with a pod's start, or with the heal."""
        heals = [fault.heal for fault in self.recorded.faults if fault.heal is not None]
        return min([*(self.recorded.host_time(r) for r in self.recorded.of(PodAsked)), *heals], default=math.inf)

    @cached_property
    def _starts(self) -> Sequence[float]:
        return [connection.start for connection in self.recorded.connections]

    @cached_property
    def _waits(self) -> Sequence[Wait]:
        """The waits on the way of the client's connections: on its own machine, and on who held the VIP then."""
        held = holding.possibly(holding.holds(self.recorded, math.inf))
        holders = [Wait(hold.node, hold.start, hold.end) for hold in held]
        return [
            wait
            for kind, wait in self._all
            if kind is not Holder or any(h.source == wait.source and h.touches(wait.start, wait.end) for h in holders)
        ]

    @cached_property
    def _all(self) -> Sequence[tuple[type[Holder | Probe], Wait]]:
        """Where a probe was late by STARVED seconds or more, or gave its schedule up; and which kind of probe."""
        found: list[tuple[type[Holder | Probe], Wait]] = []
        looks: list[Holder | Probe] = [*self.recorded.of(Holder), *self.recorded.of(Probe)]
        for record in looks:
            if record.late >= STARVED:
                at = self.recorded.host_time(record)
                found.append((type(record), Wait(record.source, at - record.late, at)))
        for skipped in self.recorded.of(ProbeSkipped):
            at = self.recorded.host_time(skipped)
            found.append((Probe, Wait(skipped.source, at - skipped.count / self.recorded.pace.rate, at)))
        return found


def _delayable(connection: Connection) -> bool:
    """Was it met with silence, or answered, however late?"""
    return connection.outcome.startswith("timeout") or not outage.broken(connection)


def _told(wait: Wait) -> str:
    return f"{wait.source} waited {shown(wait.end - wait.start)} for a processor then"


def _seconds(waits: set[Wait]) -> float:
    """How long the waits took in all: the time that several share counts once."""
    return sum(end - start for start, end in outage.union((wait.start, wait.end) for wait in waits))
