"""What load the record shows, and which failures it explains better than the lab does. Pure.

Load delays, it refuses nobody: only connections that met with silence, or were answered late, can be its doing. And it
delays whatever runs: the probes themselves, which come before all other programs of their machine, or most of the
other connections that were under way at the same time.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lab.verify import outage
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


class Load:
    """The load of one recorded case."""

    def __init__(self, recorded: Recorded) -> None:
        self.recorded = recorded

    def explains(self, failed: Sequence[Connection]) -> str:
        """How load explains these failed connections, each of them; "" when it does not."""
        found = [self._delayed(connection) for connection in failed]
        return found[0] if found and all(found) else ""

    def _delayed(self, connection: Connection) -> str:
        """What delayed one connection while it was under way."""
        silent = connection.outcome.startswith("timeout")
        if not silent and connection.outcome != "ok":
            return ""
        # A connection without an answer was given all its time, also that in which its own client stood still.
        end = connection.start + (self.recorded.pace.patience if silent else connection.latency)
        wait = next((wait for wait in self._waits if wait.start < end and wait.end > connection.start), None)
        if wait is not None:
            return f"{wait.source} waited {shown(wait.end - wait.start)} for a processor then"
        return self._slowness(connection.start, end)

    def _slowness(self, start: float, end: float) -> str:
        """That most others were slow, where the case's own doing loads the machines: before, slow means failed."""
        if start < self._own:
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
        """Where a probe was late by STARVED seconds or more, or gave its schedule up."""
        found = []
        looks: list[Holder | Probe] = [*self.recorded.of(Holder), *self.recorded.of(Probe)]
        for record in looks:
            if record.late >= STARVED:
                at = self.recorded.host_time(record)
                found.append(Wait(record.source, at - record.late, at))
        for skipped in self.recorded.of(ProbeSkipped):
            at = self.recorded.host_time(skipped)
            found.append(Wait(skipped.source, at - skipped.count / self.recorded.pace.rate, at))
        return found
