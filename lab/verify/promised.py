"""What was promised of a case, as its history keeps it and its checks hold it against the record. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from lab.oracle.failover import Promise


@dataclass(frozen=True)
class Promised:
    """What the definition's own timers promise of a case's fault, in seconds.

    ``maximum``: until all is as before for clients (or for the lease); None means: not before it is healed. ``gap`` is
    the longest time without a holder, ``double`` the longest with two; ``lost`` is that where an advertisement is lost
    on its way. ``moves``: must the VIP move? None when either is right. ``back``: from the heal until the best master
    has the VIP again, None when that is not promised. ``transient``: the fault heals itself, and the VIP comes back by
    itself. ``failback``: the longest outage from the heal on; None when nothing is promised of it, as in runs from
    before it was judged.
    """

    maximum: float | None
    gap: float
    double: float
    moves: bool | None
    back: float | None
    reason: str
    transient: bool = False
    lost: float = 0.0
    failback: float | None = None

    @classmethod
    def of(cls, promise: Promise) -> Promised:
        """What of a promise can be held against a record."""
        return cls(
            maximum=promise.outage.most if promise.outage else None,
            gap=promise.vacant,
            double=promise.double,
            moves=promise.moves,
            back=promise.back.most if promise.back else None,
            reason=promise.reason,
            transient=promise.transient,
            lost=promise.lost,
            failback=promise.failback.most if promise.failback else None,
        )


#: Of what does nothing.
NOTHING = Promised(0.0, 0.0, 0.0, None, None, "nothing was done")
