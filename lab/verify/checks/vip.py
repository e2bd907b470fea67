"""What must be seen of the virtual IP: one holder, the right one, and no more confusion than a move needs."""

from __future__ import annotations

from collections.abc import Sequence

from lab.verify import holding
from lab.verify.checks import Check, shown, unknown
from lab.verify.recorded import Promised, Recorded
from lab.verify.verdict import Outcome, Verdict


def _last_look(recorded: Recorded, before: float) -> frozenset[str]:
    """Who held the VIP just before a moment."""
    held = holding.holds(recorded, before)
    return frozenset(h.node for h in held if h.start < before <= h.end)


def _span(recorded: Recorded) -> tuple[float, float] | None:
    """From the steady state to the end of what was watched."""
    start, end = recorded.phase("steady"), recorded.phase("end")
    return None if start is None or end is None else (start, end)


def _blindness(gaps: Sequence[holding.Blind]) -> str:
    worst = max(gaps, key=lambda gap: gap.end - gap.start)
    return f"{worst.node} was not observed for {shown(worst.end - worst.start)}"


def steady_holder(recorded: Recorded) -> Verdict:
    """Before the fault the best master by priority must hold the VIP, alone."""
    name = "steady-holder"
    best = recorded.ranking[0] if recorded.ranking else ""
    promised = f"{best} alone" if recorded.preempts else "one alone"
    start = recorded.phase("steady")
    if start is None:
        return unknown(name, "no steady state was reached", promised)
    end = recorded.phase("fault") or recorded.phase("requests") or recorded.phase("end")
    if end is None:
        return unknown(name, "the record ends in the steady state", promised)
    if gaps := holding.blind(recorded, start, end):
        return unknown(name, _blindness(gaps), promised)
    seen = [s.holders for s in holding.segments(holding.holds(recorded, end), start, end)]
    measured = _names(frozenset().union(*seen))
    right = {best} if recorded.preempts else set(seen[0])
    wrong = [holders for holders in seen if holders != right or len(holders) != 1]
    if wrong:
        return Verdict(
            name, Outcome.UNKNOWN, measured, promised, f"not steady before the fault: {_names(wrong[0])} held it"
        )
    return Verdict(name, Outcome.PASS, measured, promised, "the VIP was where its priorities put it")


def _names(holders: frozenset[str]) -> str:
    return " and ".join(sorted(holders)) or "nobody"


def gap_and_overlap(recorded: Recorded) -> Verdict:
    """From the steady state to the end: nobody for at most the promised time, two for at most one advert."""
    name = "holders"
    promise, span = recorded.promised, _span(recorded)
    if promise is None or span is None:
        return unknown(name, "the case did not come to its end")
    promised = f"none ≤ {shown(promise.gap)}, two ≤ {shown(promise.double)}"
    start, end = span
    found = holding.segments(holding.holds(recorded, end), start, end)
    nobody = max(holding.runs(found, several=False), key=lambda s: s.length, default=None)
    several = max(holding.runs(found, several=True), key=lambda s: s.length, default=None)
    none_s, two_s = nobody.length if nobody else 0.0, several.length if several else 0.0
    measured = f"none {shown(none_s)}, two {shown(two_s)}"
    values = {"none_s": none_s, "two_s": two_s}
    gaps = holding.blind(recorded, start, end)
    problems: list[str] = []
    doubts = [_blindness(gaps)] if gaps else []
    if nobody and none_s > promise.gap + nobody.error:
        # Only a master that was not watched meanwhile can have held it after all.
        said = f"nobody held the VIP for {shown(none_s)}"
        (doubts if _overlap(gaps, nobody) else problems).append(said)
    if several and two_s > promise.double + several.error:
        said = f"{_names(several.holders)} held the VIP together for {shown(two_s)}"
        (doubts if _overlap([g for g in gaps if g.node in several.holders], several) else problems).append(said)
    if problems:
        return Verdict(name, Outcome.FAIL, measured, promised, "; ".join(problems), values)
    if doubts:
        return Verdict(name, Outcome.UNKNOWN, measured, promised, "; ".join(doubts), values)
    reason = f"all {len(recorded.ranking)} masters were watched all the time"
    return Verdict(name, Outcome.PASS, measured, promised, reason, values)


def _overlap(gaps: Sequence[holding.Blind], segment: holding.Segment) -> bool:
    return any(gap.start < segment.end and gap.end > segment.start for gap in gaps)


def moved(recorded: Recorded) -> Verdict:
    """While the fault lasts the VIP must come to the next best master, or must stay, as promised.

    A fault that heals itself (``transient``) must move it there and back again.
    """
    name, promise = "moved", recorded.promised
    if promise is None or not recorded.faults:
        return unknown(name, "no fault was recorded")
    fault = recorded.faults[0]
    heir = next((node for node in recorded.ranking if node != fault.node), "")
    if promise.moves and not heir:
        return unknown(name, "there is no other master to move to")
    promised = _expected(promise, fault.node, heir)
    end = fault.heal if fault.heal is not None else recorded.phase("end")
    if end is None:
        return unknown(name, "the record ends before the fault was healed", promised)
    if gaps := holding.blind(recorded, max(fault.moment, end - 2 * holding.MAX_SILENCE), end):
        return unknown(name, _blindness(gaps), promised)
    now = _last_look(recorded, end)
    taken = [h.start for h in holding.holds(recorded, end) if h.node == heir and h.start >= fault.begin]
    returns = promise.transient and recorded.preempts
    ends_with_heir, ends_with_victim = now == {heir}, now == {fault.node}
    right = {
        True: bool(taken) and (ends_with_victim if returns else ends_with_heir),
        False: ends_with_victim,
        None: ends_with_victim or (ends_with_heir and not returns),
    }[promise.moves]
    values = {"takeover_s": max(0.0, taken[0] - fault.moment)} if taken else {}
    stayed = f"{fault.node} kept it" if ends_with_victim or not heir else f"{heir} did not take it"
    said = f"{heir} took it {shown(values['takeover_s'])} after the fault" if taken else stayed
    if not right:
        return Verdict(name, Outcome.FAIL, _names(now), promised, f"{said}; in the end {_names(now)} held it", values)
    return Verdict(name, Outcome.PASS, _names(now), promised, said, values)


def _expected(promise: Promised, victim: str, heir: str) -> str:
    """Who should hold the VIP, in words."""
    if promise.moves is False or not heir:
        return victim
    if promise.transient:
        return f"{heir}, then {victim}" if promise.moves else victim
    return heir if promise.moves else f"{victim} or {heir}"


def came_back(recorded: Recorded) -> Verdict:
    """After the heal the best master by priority must hold the VIP again, alone."""
    name = "came-back"
    best = recorded.ranking[0] if recorded.ranking else ""
    end = recorded.phase("end")
    if end is None or not recorded.faults or recorded.faults[0].healed is None:
        return unknown(name, "the fault was not seen healed", best)
    healed = recorded.faults[0].healed
    if gaps := holding.blind(recorded, max(healed, end - 2 * holding.MAX_SILENCE), end):
        return unknown(name, _blindness(gaps), best)
    now = _last_look(recorded, end)
    if not recorded.preempts:
        one = Outcome.PASS if len(now) == 1 else Outcome.FAIL
        return Verdict(name, one, _names(now), "one alone", "the definition lets nobody take the VIP back")
    promise = recorded.promised
    back = promise.back if promise else None
    promised = f"{best} within {shown(back)}" if back is not None else best
    if now != {best}:
        reason = f"{shown(end - healed)} after the heal it was not back"
        # Where the promised time was not waited for, not seeing it tells nothing.
        outcome = Outcome.FAIL if end - healed > (back or 0.0) else Outcome.UNKNOWN
        return Verdict(name, outcome, _names(now), promised, reason)
    begun = [h.start for h in holding.holds(recorded, end) if h.node == best and h.start > recorded.faults[0].begin]
    if not begun:
        return Verdict(name, Outcome.PASS, f"{best} all the time", promised, "it had never left", {})
    took = max(begun) - healed
    values = {"return_s": took}
    measured = f"{best} after {shown(took)}" if took > 0 else f"{best} at once"
    outcome = Outcome.PASS if back is None or took <= back else Outcome.FAIL
    return Verdict(name, outcome, measured, promised, "the best master by priority holds it again", values)


STEADY_HOLDER = Check("steady-holder", steady_holder, precondition=True)
HOLDERS = Check("holders", gap_and_overlap)
MOVED = Check("moved", moved)
CAME_BACK = Check("came-back", came_back)
