"""What the client may suffer: from the fault to its heal, on the VIP's way back, and besides those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lab.verify import holding, outage
from lab.verify.checks import Check, shown, unknown
from lab.verify.checks.client import failures, fell_silent, last_told, too_few, too_late
from lab.verify.load import Load
from lab.verify.outage import CLEAN, Outage
from lab.verify.pace import Pace
from lab.verify.promised import Promised
from lab.verify.recorded import Recorded
from lab.verify.suffered import Suffered, on_the_way_back, under_fault
from lab.verify.verdict import Outcome, Verdict, merge

#: Connections lost alone that are an accident; more of them in one case are none.
ACCIDENTS = 1


def client_outage(recorded: Recorded) -> Verdict:
    """The outage between the fault and its heal must be no longer than the timers promise."""
    name, promise, fault = "outage", recorded.promised, recorded.fault
    if promise is None or fault is None:
        return unknown(name, "no fault was recorded")
    limit = promise.maximum
    promised = "until it is healed" if limit is None else _within(limit)
    end = fault.heal if fault.heal is not None else recorded.phase("end")
    if end is None:
        return unknown(name, "the record ends before the fault was healed", promised)
    rate = outage.worst_rate(recorded.connections, fault.begin - recorded.pace.patience, end)
    if rate < recorded.pace.least:
        return unknown(name, too_few(rate, recorded.pace), promised)
    part = under_fault(recorded, fault, promise, end)
    if limit is None:
        return _unnoticed(part, promise)
    found = _in_time(recorded, part, limit, _compared(recorded, name, part, limit, promise.reason))
    return _doubted(found, _stood_still(recorded, (fault.begin, end), limit, [fault.moment]))


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
    name, promise, fault = "failback", recorded.promised, recorded.fault
    if promise is None or fault is None:
        return unknown(name, "no fault was recorded")
    limit, end = _measurable(promise.failback, recorded.pace), recorded.phase("end")
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
    doubt = _stood_still(recorded, (since, until), limit or 0.0, moves)
    if limit is None and part.outage is not None:
        lost = failures(part.outage.failed, recorded.pace)
        reason = f"{lost} after the heal, and this run was promised nothing of the way back"
        return Verdict(name, Outcome.UNKNOWN, shown(part.outage.seconds), promised, reason)
    found = _compared(recorded, name, part, limit, "the VIP's way back")
    return _doubted(_in_time(recorded, part, limit, found), doubt)


def _measurable(limit: float | None, pace: Pace) -> float | None:
    """A limit that the client's own pace can tell: two connections that follow each other measure no less."""
    return limit and max(limit, 2 / pace.rate)


def _within(limit: float | None) -> str:
    return "not promised" if limit is None else f"≤ {shown(limit)}" if limit else "no outage"


def _stood_still(recorded: Recorded, span: tuple[float, float], limit: float, moments: Sequence[float]) -> str:
    """Why an outage that is too long may have been missed in a span of time; "" when none can have been.

    Just after one of these moments two connections that follow each other must show whatever there was; at other times
    a client that stood still for no longer than it waits for a slow answer missed nothing that it would have counted.
    """
    pace, paused = recorded.pace, outage.longest_pause
    least, slow = max(limit, 2 / pace.rate), max(limit, pace.slow)
    pause = max((paused(recorded.connections, at, at + least) for at in moments), default=0.0)
    if pause > least:
        return f"the client stood still for {shown(pause)} just then: it could not tell"
    pause = paused(recorded.connections, *span)
    if pause > slow:
        return f"the client stood still for {shown(pause)}: it could not tell"
    return too_late(recorded, *span)


def _doubted(verdict: Verdict, doubt: str) -> Verdict:
    """What was well as far as it was seen is not known where not all of it was; what was seen to be wrong is wrong."""
    return unknown(verdict.check, doubt, verdict.promised) if doubt and verdict.outcome is Outcome.PASS else verdict


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
        outcomes.append(_within_limit(found, limit or 0.0))
        reasons.append(because)
        if outcomes == [Outcome.UNKNOWN]:
            between = f"between {shown(found.least)} and {shown(found.most)}"
            reasons.insert(0, f"the client stood still: it is known to have lasted {between}")
    elif found is not None:
        outcomes.append(Outcome.FAIL if found.least > (limit or 0.0) else Outcome.UNKNOWN)
        reasons.insert(0, "not over when this was last seen")
    for one in part.further:
        why = load.explains(one.failed)
        outcomes.append(Outcome.UNKNOWN if why else Outcome.FAIL)
        reasons.append(f"{shown(one.seconds)} is one outage too many" + (f": {why}" if why else ""))
    lengths = [f"{'' if one.over else '> '}{shown(one.seconds)}" for one in every]
    return Verdict(name, merge(outcomes), " and ".join(lengths), promised, "; ".join(reasons), values)


def _in_time(recorded: Recorded, part: Suffered, limit: float | None, verdict: Verdict) -> Verdict:
    """A verdict that minds answers which count as no failure: no service is one that answers most of them slowly.

    The case's own doing loads the machines, so that now and then an answer is slow; where no probe felt any load, the
    service itself is. It is not known whether that is wrong where nothing was promised.
    """
    answered = [connection for connection in part.seen if not outage.broken(connection)]
    slow = [connection for connection in answered if outage.failed(connection, recorded.pace.slow)]
    if 2 * len(slow) <= len(answered):
        return verdict
    load = Load(recorded).felt(slow)
    said = f"{len(slow)} of {len(answered)} answers took longer than {shown(recorded.pace.slow)}"
    outcome = merge([verdict.outcome, Outcome.UNKNOWN if load or limit is None else Outcome.FAIL])
    reason = "; ".join(filter(None, [said + (f": {load}" if load else ""), verdict.reason]))
    return replace(verdict, outcome=outcome, reason=reason, values={**verdict.values, "late_answers": float(len(slow))})


def _within_limit(found: Outage, limit: float) -> Outcome:
    """Is an outage no longer than promised? Where the client stood still at its edges its length is not one figure."""
    return Outcome.PASS if found.most <= limit else Outcome.FAIL if found.least > limit else Outcome.UNKNOWN


def losses(recorded: Recorded) -> Verdict:
    """Besides the outages no connection may be lost, not even one alone.

    Such a one cannot be told from an accident, a machine that stood still for a moment, say, which none of the probes
    felt: it is *unknown*. So is any number that load explains, and of answers that came, but slowly. More than
    ACCIDENTS of them in a case that is hardly a minute long are the lab's own doing: *fail*.
    """
    name, promised, promise = "losses", "none alone", recorded.promised
    fault, end = recorded.fault, recorded.phase("end")
    if promise is None or fault is None:
        return unknown(name, "no fault was recorded", promised)
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
