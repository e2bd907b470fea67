"""The oracle: what is promised of each fault a case makes, in the form that histories keep and checks read. Pure.

The VIP's promises are the plan's own (lab/plan/promises.py); leases: client-go's own times and measurement.
"""

from __future__ import annotations

from lab.plan import promises
from lab.topology import Topology
from lab.verify.records import Promised

#: Leader election of Kubernetes' own components (client-go, tools/leaderelection; seconds): a lease is valid for
#: LeaseDuration and renewed every RetryPeriod; a candidate looks every RetryPeriod, stretched by up to JitterFactor.
LEASE, RETRY, JITTER = 15.0, 2.0, 1.2

#: Seconds within which the kubelet notices a manifest's removal and ends the container.
KUBELET = 5.0

NOTHING = Promised(0.0, 0.0, 0.0, None, None, "nothing was done")


def promise(topology: Topology, fault: str, *, kubernetes: bool = True) -> Promised:
    """What is promised of a fault by its name (faults.py), made on the holder; "" is no fault at all.

    Raises ValueError for a fault of which nothing is promised.
    """
    if not fault:
        return NOTHING
    if fault == "scheduler-remove":
        return _lease()
    given = promises.promise(topology, promises.Fault(fault), cluster=kubernetes)
    return Promised(
        maximum=given.outage.most if given.outage else None,
        gap=given.vacant,
        double=given.double,
        moves=given.moves,
        back=given.back.most if given.back else None,
        reason=given.reason,
        transient=fault == promises.Fault.CRASH,
        lost=given.lost,
        failback=given.failback.most if given.failback else None,
    )


def _lease() -> Promised:
    """From a leader's manifest that is taken away until another host has the lease.

    The kubelet ends the leader within KUBELET, and until then it goes on renewing. A candidate trusts no clock but its
    own: a renewal counts for LEASE from the moment that it *sees* it, which is one look late at most (RETRY stretched
    by JITTER: 4.4 s), and that it has run out is seen by the first look afterwards: 5 + 4.4 + 15 + 4.4 = 28.8 s.
    """
    look = RETRY * (1 + JITTER)
    reason = f"a lease runs out {LEASE:.0f} s after a candidate saw it renewed; candidates look every {RETRY:.0f} to "
    reason += f"{look:.1f} s, and the kubelet takes up to {KUBELET:.0f} s to end the leader"
    return Promised(KUBELET + look + LEASE + look, 0.0, 0.0, None, None, reason)
