"""The oracle: what is promised of each fault a case makes, in the form that histories keep and checks read. Pure.

The VIP's promises are the plan's own (lab/plan/promises.py); leases: client-go's own times and measurement.
"""

from __future__ import annotations

from lab.plan import promises
from lab.topology import Topology
from lab.verify.recorded import Promised

#: Leader election of Kubernetes: a lease is valid for 15 s and renewed every 2 s; a candidate tries every 2 s,
#: stretched by up to 1.2 of itself (client-go's JitterFactor).
LEASE, RETRY, JITTER = 15.0, 2.0, 1.2

#: Seconds within which the kubelet notices a manifest's removal and ends the container.
KUBELET = 5.0

NOTHING = Promised(0.0, 0.0, 0.0, 0.0, None, None, "nothing was done")


def promise(topology: Topology, fault: str, *, kubernetes: bool = True) -> Promised:
    """What is promised of a fault by its name (faults.py), made on the holder; "" is no fault at all.

    Raises ValueError for a fault of which nothing is promised.
    """
    if not fault:
        return NOTHING
    if fault == "scheduler-remove":
        reason = f"the lease expires after {LEASE:.0f} s, candidates try every {RETRY:.0f} s"
        most = KUBELET + LEASE + RETRY * (1 + JITTER)
        return Promised(LEASE - RETRY, most, 0.0, 0.0, None, None, reason)
    given = promises.promise(topology, promises.Fault(fault), cluster=kubernetes)
    return Promised(
        minimum=given.outage.least if given.outage else 0.0,
        maximum=given.outage.most if given.outage else None,
        gap=given.vacant,
        double=given.double,
        moves=given.moves,
        back=given.back.most if given.back else None,
        reason=given.reason,
        transient=fault == promises.Fault.CRASH,
    )
