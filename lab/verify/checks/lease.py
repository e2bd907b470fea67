"""What must be seen of a lease: it comes to another host, and who has it then does the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab.verify.checks import Check, shown, unknown
from lab.verify.recorded import Applied, Recorded
from lab.verify.records import Lease, LeaseSeen, Pod, Trouble
from lab.verify.verdict import Outcome, Verdict


@dataclass(frozen=True)
class Look:
    """One look at who holds the lease, in host's time; ``host`` is "" for nobody.

    ``found``: was it so already when the watch was opened? It may have come about at any time since the look before
    then, and just now otherwise. None in runs from before that was recorded, which tell of changes alone.
    """

    at: float
    host: str
    found: bool | None


@dataclass(frozen=True)
class Move:
    """The lease came to another host: seen at ``seen.at``, and not before ``earliest``."""

    seen: Look
    earliest: float


def _looks(recorded: Recorded) -> Sequence[Look]:
    """All looks at the lease, in the order of their time."""
    found = [
        Look(recorded.host_time(told), told.host, told.found) for told in (*recorded.of(Lease), *recorded.of(LeaseSeen))
    ]
    return sorted(found, key=lambda look: look.at)


def _troubles(recorded: Recorded, start: float, end: float) -> Sequence[str]:
    """What its watch complained of between two moments."""
    watches = tuple({f"watch of {told.lease}:" for told in recorded.of(Lease)})
    return [
        trouble.what
        for trouble in recorded.of(Trouble)
        if start < recorded.host_time(trouble) < end and trouble.what.startswith(watches)
    ]


def _known_until(recorded: Recorded, look: Look, until: float) -> float:
    """The last moment before ``until`` at which what this look told was certainly still so."""
    if look.found is not None or _troubles(recorded, look.at, until):
        return look.at
    return until  # a watch without trouble was taken for one that sees everything


def _unseen(recorded: Recorded, start: float, end: float) -> str:
    """Why it is not known who held the lease between two moments."""
    told = _troubles(recorded, start, end)
    return f"who held the lease was not seen for {shown(end - start)}: {told[-1] if told else 'no error was told'}"


def _move(recorded: Recorded, fault: Applied, looks: Sequence[Look]) -> Move | None:
    """When another host than the one that was struck was first seen to hold the lease."""
    for before, look in zip([None, *looks], looks, strict=False):
        if look.at > fault.moment and look.host not in ("", fault.node):
            sudden = before is None or look.found is False
            return Move(look, look.at if before is None or sudden else _known_until(recorded, before, look.at))
    return None


def lease_moved(recorded: Recorded) -> Verdict:
    """The lease must come to another *host* within the promised time, and not have been there already.

    A watch of it goes through the VIP, and may be broken for as long as there is none: what may have come about at any
    time meanwhile fails only when its earliest moment was too late, and passes only when its latest was not.
    """
    name, promise, fault = "lease", recorded.promised, recorded.fault
    if promise is None or promise.maximum is None or fault is None:
        return unknown(name, "no fault was recorded", "another host")
    promised = f"another host within {shown(promise.maximum)}"
    looks = _looks(recorded)
    before = [look for look in looks if look.at <= fault.moment]
    if not before:
        return unknown(name, "who held the lease before the fault was not seen", promised)
    if before[-1].host != fault.node:
        holder = before[-1].host or "nobody"
        return unknown(name, f"{holder} held the lease, but the fault was on {fault.node}", promised)
    end = fault.heal if fault.heal is not None else recorded.phase("end")
    move = _move(recorded, fault, looks)
    if move is None or (end is not None and move.seen.at >= end):
        return _not_moved(recorded, fault, [look for look in looks if end is None or look.at < end], end, promised)
    took, least = move.seen.at - fault.moment, move.earliest - fault.moment
    outcome, reason = Outcome.PASS, f"from {fault.node} to {move.seen.host}; {promise.reason}"
    if least > promise.maximum:
        outcome = Outcome.FAIL
    elif took > promise.maximum or (least < 0 and move.seen.found):
        outcome, reason = Outcome.UNKNOWN, _unseen(recorded, move.earliest, move.seen.at)
    return Verdict(name, outcome, f"{move.seen.host} after {shown(took)}", promised, reason, {"lease_s": took})


def _not_moved(recorded: Recorded, fault: Applied, looks: Sequence[Look], end: float | None, promised: str) -> Verdict:
    """No other host was seen to take it while the fault lasted: a failure where somebody looked for long enough."""
    last, most = looks[-1], (recorded.promised.maximum if recorded.promised else None) or 0.0
    until = last.at if end is None else end
    known = _known_until(recorded, last, until)
    waited = known - fault.moment
    still = f"still {last.host}" if last.host else "nobody"
    measured = f"{still} after {shown(waited)}" if waited > 0 else "not told"
    reason = "the lease did not come to another host while the fault lasted"
    if waited > most:
        return Verdict("lease", Outcome.FAIL, measured, promised, reason)
    if until - fault.moment > most:
        reason = _unseen(recorded, known, until)
    return Verdict("lease", Outcome.UNKNOWN, measured, promised, reason)


def scheduled_by_new(recorded: Recorded) -> Verdict:
    """The pod that waited must have been scheduled by the *new* leader: not before the lease moved."""
    name, promised = "scheduled", "after the lease moved"
    if (fault := recorded.fault) is None:
        return unknown(name, "no fault was recorded", promised)
    placed = [recorded.host_time(pod) for pod in recorded.of(Pod) if pod.event in ("scheduled", "running")]
    if not placed:
        return unknown(name, "the pod was not seen scheduled", promised)
    move = _move(recorded, fault, _looks(recorded))
    if move is None:
        return unknown(name, "the lease was not seen to move", promised)
    wait = placed[0] - fault.moment
    # Both are seen over watches of their own, each a few milliseconds late: only a clear lead tells of an old leader.
    early, surely = move.seen.at - placed[0], move.earliest - placed[0]
    measured = f"{shown(wait)} after the fault"
    values = {"scheduled_s": wait}
    if early > 1.0:
        reason = f"{shown(early)} before the lease moved: the old leader was still at work, so nothing was proven"
        if surely <= 1.0:
            reason = f"perhaps before the lease moved: {_unseen(recorded, move.earliest, move.seen.at)}"
        return Verdict(name, Outcome.UNKNOWN, measured, promised, reason, values)
    return Verdict(name, Outcome.PASS, measured, promised, "the new leader scheduled it", values)


LEASE = Check("lease", lease_moved)
SCHEDULED = Check("scheduled", scheduled_by_new)
