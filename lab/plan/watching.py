"""How long ``./inv verify`` watches a case at most, and the promises that would take longer. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from lab.faults.kind import Situation
from lab.faults.kinds import KINDS
from lab.oracle.failover import Promise
from lab.topology import Topology

#: Seconds after which verify's probes end by themselves: nothing may be left running on a machine.
LIFETIME = 900

#: Seconds that a case takes beside what is promised: 62 until the lab is steady, 75 for a pod, and 26 beyond the
#: promises, to see that something came late and not never; the rest is for a machine that boots.
BESIDE = 300.0


def needed(promise: Promise) -> float:
    """Seconds that a case of this fault may take.

    The promised outage is waited for and then watched for as long again; the way back is waited for and watched.
    """
    spans = (promise.outage, promise.outage, promise.back, promise.failback)
    return BESIDE + sum(span.most for span in spans if span is not None)


def unwatchable(topology: Topology, *, cluster: bool = True) -> Mapping[str, float]:
    """The kinds of faults that verify cannot measure, as its probes would end before the case: seconds of each."""
    situation = Situation(topology, cluster)
    taken = {kind.name: needed(kind.promise(situation)) for kind in KINDS.values() if kind.promise is not None}
    return {kind: seconds for kind, seconds in taken.items() if seconds > LIFETIME}


def unmeasured(found: Mapping[str, float]) -> str:
    """Why these cannot be measured, in words."""
    longest, names = max(found.values()), ", ".join(found)
    return f"with these timers {names} may take {longest:.0f} s to measure, and verify's probes end after {LIFETIME} s"
