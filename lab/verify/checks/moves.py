"""Where the virtual IP must be seen to go: to the next best master, and back, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

from lab.verify import holding
from lab.verify.checks import Check, shown, unknown
from lab.verify.checks.vip import blindness, names
from lab.verify.holding import Hold
from lab.verify.promised import Promised
from lab.verify.recorded import Applied, Recorded
from lab.verify.verdict import WEIGHT, Outcome, Verdict, merge

#: As many takings are named one by one; more are only counted.
NAMED = 4


def _last_look(recorded: Recorded, before: float) -> frozenset[str]:
    """Who held the VIP just before a moment."""
    held = holding.holds(recorded, before)
    return frozenset(h.node for h in held if h.start < before <= h.end)


def _more(taken: Sequence[Hold], allowed: int, moment: float) -> tuple[Outcome, str]:
    """Was the VIP taken more often than promised?

    Where two timers run out together, and each of the two advertises before it hears of the other, the worse one lets
    go as soon as it does: a take-over for no longer than ``moment`` seconds beside each promised one is *unknown*.
    """
    if len(taken) <= allowed:
        return Outcome.PASS, ""
    brief = [hold for hold in taken if hold.given.earliest - hold.taken.latest <= moment]
    listed = [hold.node for hold in taken[:NAMED]] + ["…"] * (len(taken) > NAMED)
    promised = f"{allowed or 'none'} {'are' if allowed > 1 else 'is'} promised"
    said = f"{len(taken)} {'move' if len(taken) == 1 else 'moves'} where {promised}: "
    said += ", then ".join(listed)
    excused = len(taken) - len(brief) <= allowed and len(brief) <= max(1, allowed)
    if excused:
        said += f"; {names(frozenset(hold.node for hold in brief))} for a moment only"
    return Outcome.UNKNOWN if excused else Outcome.FAIL, said


def _in_time(recorded: Recorded, promise: Promised, fault: Applied, hold: Hold) -> tuple[Outcome, str]:
    """Did the next best master take it as early as promised?

    That is when clients must be well again; where they are not until somebody heals, it is known how long nobody may
    hold it.
    """
    limit = promise.gap if promise.maximum is None else promise.maximum
    took = hold.start - fault.moment
    if took <= limit:
        return Outcome.PASS, ""
    said = f"{shown(took)} after the fault, and not within {shown(limit)}"
    unwatched = [gap for gap in holding.blind(recorded, fault.moment, hold.start) if gap.node == hold.node]
    if unwatched:
        return Outcome.UNKNOWN, f"{said}; {blindness(unwatched)}"
    if hold.taken.earliest - fault.moment <= limit:
        return Outcome.UNKNOWN, f"{said}; that is known to {shown(hold.taken.latest - hold.taken.earliest)} only"
    return Outcome.FAIL, said


def moved(recorded: Recorded) -> Verdict:
    """While the fault lasts the VIP must come to the next best master in time, or must stay, as promised: once.

    A fault that heals itself (``transient``) must move it there and, where the best master takes it back, back again.
    """
    name, promise, fault = "moved", recorded.promised, recorded.fault
    if promise is None or fault is None:
        return unknown(name, "no fault was recorded")
    heir = next((node for node in recorded.ranking if node not in fault.nodes), "")
    if promise.moves and not heir:
        return unknown(name, "there is no other master to move to")
    returns = promise.transient and recorded.header.preempt
    promised = _expected(promise, fault.node, heir, returns)
    end = fault.heal if fault.heal is not None else recorded.phase("end")
    if end is None:
        return unknown(name, "the record ends before the fault was healed", promised)
    if gaps := holding.blind(recorded, max(fault.moment, end - 2 * holding.MAX_SILENCE), end):
        return unknown(name, blindness(gaps), promised)
    now = _last_look(recorded, end)
    takings = holding.takings(recorded, fault.begin, end)
    taken = [hold for hold in takings if hold.node == heir]
    ends_with_heir, ends_with_victim = now == {heir}, now == {fault.node}
    right = {
        True: bool(taken) and (ends_with_victim if returns else ends_with_heir),
        False: ends_with_victim,
        None: ends_with_victim or (ends_with_heir and not returns),
    }[promise.moves]
    values = {"takeover_s": max(0.0, taken[0].start - fault.moment)} if taken else {}
    stayed = f"{fault.node} kept it" if ends_with_victim or not heir else f"{heir} did not take it"
    said = f"{heir} took it {shown(values['takeover_s'])} after the fault" if taken else stayed
    if not right:
        return Verdict(name, Outcome.FAIL, names(now), promised, f"{said}; in the end {names(now)} held it", values)
    allowed = 0 if promise.moves is False else 2 if returns else 1
    doubts = [_more(takings, allowed, promise.double)]
    if taken and allowed:
        doubts.append(_in_time(recorded, promise, fault, taken[0]))
    outcome = merge(one for one, _ in doubts)
    reason = "; ".join(why for one, why in doubts if one is outcome and why) or said
    return Verdict(name, outcome, names(now), promised, reason, values)


def _expected(promise: Promised, victim: str, heir: str, returns: bool) -> str:
    """Who should hold the VIP, in words."""
    if promise.moves is False or not heir:
        return victim
    if returns:
        return f"{heir}, then {victim}" if promise.moves else victim
    return heir if promise.moves else f"{victim} or {heir}"


def came_back(recorded: Recorded) -> Verdict:
    """After the heal the best master by priority must hold the VIP again, alone, and by one move."""
    name = "came-back"
    best = recorded.ranking[0] if recorded.ranking else ""
    end, fault = recorded.phase("end"), recorded.fault
    if end is None or fault is None or fault.healed is None:
        return unknown(name, "the fault was not seen healed", best)
    healed = fault.healed
    if gaps := holding.blind(recorded, max(healed, end - 2 * holding.MAX_SILENCE), end):
        return unknown(name, blindness(gaps), best)
    now, promise = _last_look(recorded, end), recorded.promised
    heal = fault.heal if fault.heal is not None else healed
    takings = holding.takings(recorded, heal, end)
    moment = promise.double if promise else 0.0
    if not recorded.header.preempt:
        outcome, reason = _more(takings, 0, moment)
        if len(now) != 1:
            outcome, reason = Outcome.FAIL, ""
        reason = reason or "the definition lets nobody take the VIP back"
        return Verdict(name, outcome, names(now), "one alone", reason)
    back = promise.back if promise else None
    promised = f"{best} within {shown(back)}" if back is not None else best
    if now != {best}:
        reason = f"{shown(end - healed)} after the heal it was not back"
        # Where the promised time was not waited for, not seeing it tells nothing.
        outcome = Outcome.FAIL if end - healed > (back or 0.0) else Outcome.UNKNOWN
        return Verdict(name, outcome, names(now), promised, reason)
    outcome, reason = _more(takings, 0 if _last_look(recorded, heal) == {best} else 1, moment)
    begun = [h.taken for h in holding.holds(recorded, end) if h.node == best and h.start > fault.begin]
    if not begun:
        return Verdict(name, outcome, f"{best} all the time", promised, reason or "it had never left", {})
    last = max(begun, key=lambda taken: taken.at)
    took = last.at - healed
    values = {"return_s": took}
    measured = f"{best} after {shown(took)}" if took > 0 else f"{best} at once"
    if back is not None and took > back:
        late, why = Outcome.FAIL, "the best master by priority holds it again"
        if last.earliest - healed <= back:
            late, why = Outcome.UNKNOWN, f"{why}; when it took it is known to {shown(last.latest - last.earliest)} only"
        outcome, reason = max(((late, why), (outcome, reason)), key=lambda found: WEIGHT[found[0]])
    reason = reason or "the best master by priority holds it again"
    return Verdict(name, outcome, measured, promised, reason, values)


MOVED = Check("moved", moved)
CAME_BACK = Check("came-back", came_back)
