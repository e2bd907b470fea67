"""How long ``./inv verify`` watches a case at most, and the promises that would take longer. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from lab.plan.promises import Promise, promises
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


def unwatchable(topology: Topology, *, cluster: bool = True) -> Sequence[Promise]:
    """The promises that verify cannot measure: its probes would end before the case does."""
    return [promise for promise in promises(topology, cluster=cluster) if needed(promise) > LIFETIME]


def unmeasured(found: Sequence[Promise]) -> str:
    """Why these cannot be measured, in words."""
    longest = max(needed(promise) for promise in found)
    names = ", ".join(promise.fault.value for promise in found)
    return f"with these timers {names} may take {longest:.0f} s to measure, and verify's probes end after {LIFETIME} s"
