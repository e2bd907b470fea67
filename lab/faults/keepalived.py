"""keepalived is stopped in good order: it says goodbye, and the next one takes the VIP."""

from __future__ import annotations

from lab.faults.kind import Situation, scripted
from lab.oracle import failover
from lab.oracle.failover import GRAIN, KEEPALIVED_STARTS, Promise, Span, shown


def left(situation: Situation) -> Promise:
    """The holder sends priority 0, upon which the next one waits its skew only (RFC 5798, 6.4.3 and 6.4.2).

    Started again it is a backup that knows nothing of haproxy until its checks have told; then it outlasts the
    advertisements of a worse one for its down-timer, and takes the VIP where it may preempt.
    """
    topology = situation.topology
    takeover = failover.takeover(topology, leaves=True) if len(topology.ranked) > 1 else None
    if takeover is None:
        return failover.alone()
    reason = f"keepalived says goodbye, and the next one waits its skew, {shown(takeover)}"
    outage = takeover + Span(0.0, GRAIN)
    well_again = KEEPALIVED_STARTS + failover.ready(topology.definition.keepalived)
    back = failover.back(topology, Span(0.0, well_again))
    return failover.goes(topology, True, outage, takeover.most + GRAIN, back, reason)


KINDS = (
    scripted(
        "keepalived-stop",
        change="systemctl stop keepalived.service",
        undo="systemctl reset-failed keepalived.service\nsystemctl start keepalived.service",
        promise=left,
    ),
)
