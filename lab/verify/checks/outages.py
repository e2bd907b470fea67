"""What the client suffers from the fault to the end: the outage, the one of the way back, and what is lost besides.

An outage ends when nothing but successes follow for CLEAN seconds. The promise is about one: a later one of several
connections was promised by nobody. One connection alone among good ones is no outage, and does not make an earlier one
longer; it is counted by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab.verify import holding, outage
from lab.verify.checks import Check, shown, unknown
from lab.verify.checks.client import failures, fell_silent, last_told, too_few
from lab.verify.load import Load
from lab.verify.outage import CLEAN, Outage
from lab.verify.pace import Pace
from lab.verify.recorded import Applied, Connection, Promised, Recorded
from lab.verify.verdict import Outcome, Verdict, merge

#: Connections lost alone that are an accident; more of them in one case are none.
ACCIDENTS = 1


@dataclass(frozen=True)
class Suffered:
    """What was suffered in one part of a case: the outage that its promise is about, further ones, losses alone."""

    seen: Sequence[Connection]
    outage: Outage | None
    further: tuple[Outage, ...]
    alone: tuple[Connection, ...]


def struck(recorded: Recorded, fault: Applied, end: float) -> tuple[list[Connection], Callable[[Connection], bool]]:
    """The connections that a fault could have broken until ``end``, and which of them count as failed.

    A connection under way when the fault came began before it, and is one of them. Slow ones count as failed until the
    case puts a load of its own on the machines (the pod's start or the heal, which two busy cores feel); what breaks
    counts always.
    """
    loads = [recorded.host_time(record) for record in recorded.of("pod-asked")]
    loaded = min(loads, default=end)

    def bad(connection: Connection) -> bool:
        answered = connection.start + connection.latency
        return outage.failed(connection, recorded.pace.slow) if answered < loaded else outage.broken(connection)

    connections = outage.between(outage.excused(recorded.connections), fault.begin - recorded.pace.patience, end)
    return [c for c in connections if c.start + c.latency >= fault.moment], bad


def under_fault(recorded: Recorded, fault: Applied, promise: Promised, end: float) -> Suffered:
    """What was suffered from the fault until ``end``; all that begins while the timers let it is the one outage."""
    seen, bad = struck(recorded, fault, end)
    allowed = fault.moment + (math.inf if promise.maximum is None else promise.maximum)
    found = outage.outages(seen, bad, end)
    return _parted(
        seen, outage.joined([o for o in found if o.start <= allowed]), [o for o in found if o.start > allowed]
    )


def on_the_way_back(recorded: Recorded, promise: Promised, since: float, until: float) -> Suffered:
    """What was suffered between two moments after the fault.

    The VIP moves back once: the longest outage is that move's, if any is due. A machine that comes back is a load, so
    that what is slow does not count, and what load explains is never the move's.
    """
    seen = outage.between(outage.excused(recorded.connections), since, until)
    found = outage.outages(seen, outage.broken, until)
    load = Load(recorded)
    lasting = [o for o in found if not load.explains(o.failed)]
    moves = max(lasting, key=lambda o: o.seconds, default=None) if promise.failback != 0.0 else None
    return _parted(seen, moves, [o for o in found if o is not moves])


def _parted(seen: Sequence[Connection], the_one: Outage | None, others: Sequence[Outage]) -> Suffered:
    further = tuple(other for other in others if not other.alone)
    return Suffered(seen, the_one, further, tuple(other.failed[0] for other in others if other.alone))


def client_outage(recorded: Recorded) -> Verdict:
    """The outage between the fault and its heal must be no longer than the timers promise."""
    name, promise = "outage", recorded.promised
    if promise is None or not recorded.faults:
        return unknown(name, "no fault was recorded")
    limit = promise.maximum
    promised = "until it is healed" if limit is None else _within(limit)
    fault = recorded.faults[0]
    end = fault.heal if fault.heal is not None else recorded.phase("end")
    if end is None:
        return unknown(name, "the record ends before the fault was healed", promised)
    rate = outage.worst_rate(recorded.connections, fault.begin - recorded.pace.patience, end)
    if rate < recorded.pace.least:
        return unknown(name, too_few(rate, recorded.pace), promised)
    part = under_fault(recorded, fault, promise, end)
    if limit is None:
        return _unnoticed(part, promise)
    if doubt := _stood_still(recorded, part, limit, [fault.moment]):
        return unknown(name, doubt, promised)
    return _compared(recorded, name, part, limit, promise.reason)


def _unnoticed(part: Suffered, promise: Promised) -> Verdict:
    """A fault whose outage ends by nothing but its heal is not survived, however truly that was promised.

    Where it was not felt, or was over before, something else than the settings ended it: nobody knows what.
    """
    name, promised, found = "outage", "until it is healed", part.outage
    if found is None:
        reason = f"none of {len(part.seen)} connections failed, though {promise.reason}: did the fault come?"
        return Verdict(name, Outcome.UNKNOWN, "no outage", promised, reason, {"outage_s": 0.0})
    values = {"failed": float(len(found.failed)), "slow": float(found.slow)}
    if found.over:
        reason = f"it ended before it was healed, though {promise.reason}"
        return Verdict(
            name, Outcome.UNKNOWN, shown(found.seconds), promised, reason, {"outage_s": found.seconds, **values}
        )
    return Verdict(name, Outcome.FAIL, f"> {shown(found.seconds)}", promised, f"not survived: {promise.reason}", values)


def failback(recorded: Recorded) -> Verdict:
    """From the heal to the end of the case no more may be lost than the VIP's way back costs.

    A fault that nothing ends but its heal lasts until that is over. Runs from before this was judged promised nothing:
    where nothing was lost that is enough, where something was it is not known.
    """
    name, promise = "failback", recorded.promised
    if promise is None or not recorded.faults:
        return unknown(name, "no fault was recorded")
    fault, limit, end = recorded.faults[0], _measurable(promise.failback, recorded.pace), recorded.phase("end")
    promised = _within(limit)
    if end is None or fault.heal is None or fault.healed is None:
        return unknown(name, "the fault was not seen healed", promised)
    since = fault.healed if promise.maximum is None else fault.heal
    if silent := fell_silent(recorded, end):
        return unknown(name, silent, promised)
    until = last_told(recorded, end)
    if until - since < CLEAN:
        return unknown(name, f"the record ends within {shown(CLEAN)} of the heal", promised)
    rate = outage.worst_rate(recorded.connections, since, until)
    if rate < recorded.pace.least:
        return unknown(name, too_few(rate, recorded.pace), promised)
    part = on_the_way_back(recorded, promise, since, until)
    held = holding.holds(recorded, end)
    moves = [moment for hold in held for moment in (hold.start, hold.end) if since < moment < until]
    if doubt := _stood_still(recorded, part, limit or 0.0, moves):
        return unknown(name, doubt, promised)
    if limit is None and part.outage is not None:
        lost = failures(part.outage.failed, recorded.pace)
        reason = f"{lost} after the heal, and this run was promised nothing of the way back"
        return Verdict(name, Outcome.UNKNOWN, shown(part.outage.seconds), promised, reason)
    return _compared(recorded, name, part, limit, "the VIP's way back")


def _measurable(limit: float | None, pace: Pace) -> float | None:
    """A limit that the client's own pace can tell: two connections that follow each other measure no less."""
    return limit and max(limit, 2 / pace.rate)


def _within(limit: float | None) -> str:
    return "not promised" if limit is None else f"≤ {shown(limit)}" if limit else "no outage"


def _stood_still(recorded: Recorded, part: Suffered, limit: float, moments: Sequence[float]) -> str:
    """Why an outage that is too long may have been missed after one of these moments; "" when none can have been."""
    if part.outage is not None and part.outage.seconds > limit:
        return ""
    least = max(limit, 2 / recorded.pace.rate)
    pause = max((outage.longest_pause(recorded.connections, at, at + least) for at in moments), default=0.0)
    return f"the client stood still for {shown(pause)} just then: it could not tell" if pause > least else ""


def _compared(recorded: Recorded, name: str, part: Suffered, limit: float | None, because: str) -> Verdict:
    """What was suffered beside what was promised."""
    promised = _within(limit)
    found, load = part.outage, Load(recorded)
    if found is None and not part.further:
        reason = f"none of {len(part.seen)} connections failed" + (", but some alone" if part.alone else "")
        values = {f"{name}_s": 0.0, "failed": 0.0, "slow": 0.0}
        return Verdict(name, Outcome.PASS, "no outage", promised, reason, values)
    every = [*([found] if found else []), *part.further]
    failed = [connection for one in every for connection in one.failed]
    values = {"failed": float(len(failed)), "slow": float(sum(one.slow for one in every))}
    reasons = [f"{len(failed)} of {len(part.seen)} connections failed: {failures(failed, recorded.pace)}"]
    outcomes = []
    if found is not None and found.over:
        values[f"{name}_s"] = found.seconds
        outcomes.append(Outcome.PASS if found.seconds <= (limit or 0.0) else Outcome.FAIL)
        reasons.append(because)
    elif found is not None:
        outcomes.append(Outcome.FAIL if found.seconds > (limit or 0.0) else Outcome.UNKNOWN)
        reasons.insert(0, "not over when this was last seen")
    for one in part.further:
        why = load.explains(one.failed)
        outcomes.append(Outcome.UNKNOWN if why else Outcome.FAIL)
        reasons.append(f"{shown(one.seconds)} is one outage too many" + (f": {why}" if why else ""))
    lengths = [f"{'' if one.over else '> '}{shown(one.seconds)}" for one in every]
    return Verdict(name, merge(outcomes), " and ".join(lengths), promised, "; ".join(reasons), values)


def losses(recorded: Recorded) -> Verdict:
    """Besides the outages no connection may be lost, not even one alone.

    Such a one cannot be told from an accident, a machine that stood still for a moment, say, which none of the probes
    felt: it is *unknown*. So is any number that load explains, and of answers that came, but slowly. More than
    ACCIDENTS of them in a case that is hardly a minute long are the lab's own doing: *fail*.
    """
    name, promised, promise = "losses", "none alone", recorded.promised
    if promise is None or not recorded.faults:
        return unknown(name, "no fault was recorded", promised)
    fault, end = recorded.faults[0], recorded.phase("end")
    heal = fault.heal if fault.heal is not None else end
    if heal is None or end is None:
        return unknown(name, "the record ends before the case does", promised)
    before = under_fault(recorded, fault, promise, heal)
    since = heal if promise.maximum is not None or fault.healed is None else fault.healed
    if silent := fell_silent(recorded, end):
        return unknown(name, silent, promised)
    since_before, until = fault.begin - recorded.pace.patience, last_told(recorded, end)
    rate = outage.worst_rate(recorded.connections, since_before, until)
    if rate < recorded.pace.least:
        return unknown(name, too_few(rate, recorded.pace), promised)
    after = on_the_way_back(recorded, promise, since, end)
    alone = [*before.alone, *after.alone]
    measured = f"{len(alone)} of {len(before.seen) + len(after.seen)} connections"
    values = {"losses": float(len(alone))}
    if not alone:
        return Verdict(name, Outcome.PASS, measured, promised, "nothing was lost besides the outages", values)
    load = Load(recorded)
    whys = [load.explains([connection]) for connection in alone]
    own = [c for c, why in zip(alone, whys, strict=True) if not why and outage.broken(c)]
    first = shown(alone[0].start - fault.moment)
    said = f"lost alone: {failures(alone, recorded.pace)}, the first {first} after the fault"
    if why := next(filter(None, whys), ""):
        said += f"; {why}"
    return Verdict(name, Outcome.FAIL if len(own) > ACCIDENTS else Outcome.UNKNOWN, measured, promised, said, values)


OUTAGE = Check("outage", client_outage)
FAILBACK = Check("failback", failback)
LOSSES = Check("losses", losses)
