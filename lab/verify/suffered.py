"""What the client suffered in one part of a case: the outage that its promise is about, and what was lost besides.

An outage ends when nothing but successes follow for CLEAN seconds. The promise is about one: a later one of several
connections was promised by nobody. One connection alone among good ones is no outage, and does not make an earlier one
longer; it is counted by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lab.verify import holding, outage
from lab.verify.load import Load
from lab.verify.outage import Outage
from lab.verify.promised import Promised
from lab.verify.recorded import Applied, Connection, Recorded
from lab.verify.records import PodAsked


@dataclass(frozen=True)
class Suffered:
    """What was suffered in one part of a case: the outage that its promise is about, further ones, losses alone."""

    seen: Sequence[Connection]
    outage: Outage | None
    further: tuple[Outage, ...]
    alone: tuple[Connection, ...]


def found_under(recorded: Recorded, fault: Applied, end: float) -> list[Outage]:
    """The outages of what a fault could have broken until ``end``.

    From its ``begin`` on what fails is the fault's; a connection under way then began before it, and is one of them.
    Slow ones count as failed until the case puts a load of its own on the machines (the pod's start or the heal, which
    two busy cores feel); what breaks counts always.
    """
    loads = [recorded.host_time(record) for record in recorded.of(PodAsked)]
    loaded = min(loads, default=end)

    def bad(connection: Connection) -> bool:
        answered = connection.start + connection.latency
        if answered < fault.begin:
            return False
        return outage.failed(connection, recorded.pace.slow) if answered < loaded else outage.broken(connection)

    return outage.outages(_begun_under(recorded, fault, end), bad, end, rate=recorded.pace.rate)


def _begun_under(recorded: Recorded, fault: Applied, end: float) -> list[Connection]:
    """All connections that may have been under way when the fault came, and those after it."""
    return outage.between(outage.excused(recorded.connections), fault.begin - recorded.pace.patience, end)


def under_fault(recorded: Recorded, fault: Applied, promise: Promised, end: float) -> Suffered:
    """What was suffered from the fault until ``end``; all that begins while the timers let it is the one outage."""
    seen = [c for c in _begun_under(recorded, fault, end) if c.start + c.latency >= fault.begin]
    allowed = fault.moment + (math.inf if promise.maximum is None else promise.maximum)
    found = found_under(recorded, fault, end)
    return _parted(
        seen, outage.joined([o for o in found if o.start <= allowed]), [o for o in found if o.start > allowed]
    )


def on_the_way_back(recorded: Recorded, promise: Promised, since: float, until: float) -> Suffered:
    """What was suffered between two moments after the fault.

    The VIP moves back once: the longest outage that touches the heal, or a hand-over that the masters' looks show, is
    that move's, if any is due; where nothing is promised of the way back, whichever is longest. A machine that comes
    back is a load, so that what is slow does not count, and what load explains is never the move's.
    """
    seen = outage.between(outage.excused(recorded.connections), since, until)
    found = outage.outages(seen, outage.broken, until, rate=recorded.pace.rate)
    load = Load(recorded)
    lasting = [o for o in found if not load.explains(o.failed)]
    if promise.failback is not None:
        margin = max(promise.failback, 2 / recorded.pace.rate)
        handovers = [(left - margin, right + margin) for left, right in _handovers(recorded, until)]
        lasting = [o for o in lasting if any(o.start <= right and _felt(o) >= left for left, right in handovers)]
    moves = max(lasting, key=lambda o: o.seconds, default=None) if promise.failback != 0.0 else None
    return _parted(seen, moves, [o for o in found if o is not moves])


def _handovers(recorded: Recorded, end: float) -> list[tuple[float, float]]:
    """The heal itself, and when the VIP came to a master or left it afterwards: each from the earliest to the latest.

    A machine is healed with the first instant that it runs again: that it boots for long moves nothing.
    """
    fault = recorded.fault
    if fault is None or fault.heal is None:
        return []
    healed = fault.heal if fault.silences or fault.healed is None else fault.healed
    changes = [change for hold in holding.holds(recorded, end) for change in (hold.taken, hold.given)]
    seen = [(change.earliest, change.latest) for change in changes if fault.heal <= change.at < end]
    return [(fault.heal, healed), *seen]


def _felt(suffered: Outage) -> float:
    """The last that was felt of an outage: a connection that was under way may be broken long after it began."""
    return max(suffered.end, *(c.start + c.latency for c in suffered.failed))


def _parted(seen: Sequence[Connection], the_one: Outage | None, others: Sequence[Outage]) -> Suffered:
    further = tuple(other for other in others if not other.alone)
    return Suffered(seen, the_one, further, tuple(other.failed[0] for other in others if other.alone))
