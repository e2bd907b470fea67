"""What must be seen of the virtual IP: one holder, the right one, and no more confusion than a move needs."""

from __future__ import annotations

from collections.abc import Sequence

from lab.verify import holding
from lab.verify.checks import Check, shown, unknown
from lab.verify.holding import Blind, Hold, Segment
from lab.verify.promised import Promised
from lab.verify.recorded import Recorded
from lab.verify.verdict import Outcome, Verdict, merge


def _last_look(recorded: Recorded, before: float) -> frozenset[str]:
    """Who held the VIP just before a moment."""
    held = holding.holds(recorded, before)
    return frozenset(h.node for h in held if h.start < before <= h.end)


def _span(recorded: Recorded) -> tuple[float, float] | None:
    """From the steady state to the end of what was watched."""
    start, end = recorded.phase("steady"), recorded.phase("end")
    return None if start is None or end is None else (start, end)


def _blindness(gaps: Sequence[Blind]) -> str:
    worst = max(gaps, key=lambda gap: gap.end - gap.start)
    return f"{worst.node} was not observed for {shown(worst.end - worst.start)}"


def steady_holder(recorded: Recorded) -> Verdict:
    """Before the fault the best master by priority must hold the VIP, alone.

    Where several held it all the time, or nobody did, the lab is broken, and not only unfit for the case: *fail*.
    """
    name = "steady-holder"
    best = recorded.ranking[0] if recorded.ranking else ""
    promised = f"{best} alone" if recorded.header.preempt else "one alone"
    start = recorded.steady
    if start is None:
        return unknown(name, "no steady state was reached", promised)
    end = recorded.steady_until("fault", "requests", "end")
    if end is None:
        return unknown(name, "the record ends in the steady state", promised)
    if gaps := holding.blind(recorded, start, end):
        return unknown(name, _blindness(gaps), promised)
    seen = [s.holders for s in holding.segments(holding.holds(recorded, end), start, end)]
    measured = _names(frozenset().union(*seen))
    right = {best} if recorded.header.preempt else set(seen[0])
    wrong = [holders for holders in seen if holders != right or len(holders) != 1]
    if wrong:
        proven = _all_the_time(recorded, start, end)
        holders = measured if proven else _names(wrong[0])
        reason = f"not steady: {holders} held it" + (" all the time" if proven else "")
        return Verdict(name, Outcome.FAIL if proven else Outcome.UNKNOWN, measured, promised, reason)
    return Verdict(name, Outcome.PASS, measured, promised, "the VIP was where its priorities put it")


def _all_the_time(recorded: Recorded, start: float, end: float) -> bool:
    """Is it certain that several held the VIP, or nobody, for all of this time, and for longer than any move takes?"""
    looks = [recorded.seen(node) for node in recorded.ranking]
    first = max((seen[0].at for seen in looks if seen), default=start)
    held, promise = holding.holds(recorded, end), recorded.promised
    move = max(promise.gap, promise.lost) if promise else 0.0
    runs = (
        _longest(holding.surely(held), (min(first, start), end), several=True),
        _longest(holding.possibly(held), (min(first, start), end), several=False),
    )
    return any(run.start <= start and run.end >= end and run.length > move for run in runs)


def _names(holders: frozenset[str]) -> str:
    return " and ".join(sorted(holders)) or "nobody"


def gap_and_overlap(recorded: Recorded) -> Verdict:
    """From the steady state to the end: nobody, and two together, for at most the promised times.

    Judged is what the looks prove. A master that was watched late may have taken the VIP, or let go of it, before that
    was seen: what is too long only by that, and what may be too long for that, is *unknown*. So are two holders for no
    longer than a lost advertisement explains, which is the network's doing and no split brain.
    """
    name = "holders"
    promise, span = recorded.promised, _span(recorded)
    if promise is None or span is None:
        return unknown(name, "the case did not come to its end")
    promised = f"none ≤ {shown(promise.gap)}, two ≤ {shown(promise.double)}"
    held = holding.holds(recorded, span[1])
    found = [_nobody(recorded, held, promise.gap, span), _together(recorded, held, promise, span)]
    if gaps := holding.blind(recorded, *span):
        found.append((Outcome.UNKNOWN, _blindness(gaps)))
    none_s, two_s = (_longest(held, span, several=several).length for several in (False, True))
    measured = f"none {shown(none_s)}, two {shown(two_s)}"
    outcome = merge(one for one, _ in found)
    reason = "; ".join(said for one, said in found if one is outcome and said)
    every = f"all {len(recorded.ranking)} masters were watched all the time"
    return Verdict(name, outcome, measured, promised, reason or every, {"none_s": none_s, "two_s": two_s})


def _nobody(recorded: Recorded, held: Sequence[Hold], limit: float, span: tuple[float, float]) -> tuple[Outcome, str]:
    """Was nobody the VIP's holder for longer than ``limit`` seconds?"""
    least = _longest(holding.possibly(held), span, several=False)
    most = _longest(holding.surely(held), span, several=False)
    if least.length > limit:
        # Only a master that was not watched meanwhile can have held it after all.
        unwatched = _overlap([*holding.blind(recorded, *span), *holding.booting(recorded, span[1])], least)
        return Outcome.UNKNOWN if unwatched else Outcome.FAIL, f"nobody held the VIP for {shown(least.length)}"
    if most.length > limit:
        return Outcome.UNKNOWN, f"nobody may have held the VIP for {shown(most.length)}: {_doubt(held, most)}"
    return Outcome.PASS, ""


def _together(
    recorded: Recorded, held: Sequence[Hold], promise: Promised, span: tuple[float, float]
) -> tuple[Outcome, str]:
    """Had several masters the VIP together for longer than promised?"""
    least = _longest(holding.surely(held), span, several=True)
    most = _longest(holding.possibly(held), span, several=True)
    said = f"{_names(least.holders)} held the VIP together for {shown(least.length)}"
    if _overlap([gap for gap in holding.blind(recorded, *span) if gap.node in least.holders], least):
        return Outcome.UNKNOWN, said
    if least.length > promise.lost:
        return Outcome.FAIL, said
    if least.length > promise.double:
        return Outcome.UNKNOWN, f"{said}: an advertisement was lost, or came late"
    if most.length > promise.double:
        both = f"{_names(most.holders)} may have held the VIP together for {shown(most.length)}"
        return Outcome.UNKNOWN, f"{both}: {_doubt(held, most)}"
    return Outcome.PASS, ""


def _longest(held: Sequence[Hold], span: tuple[float, float], *, several: bool) -> Segment:
    """The longest time in which several held it (or nobody did); one of no length when that never was."""
    runs = holding.runs(holding.segments(held, *span), several)
    return max(runs, key=lambda run: run.length, default=Segment(span[0], span[0], frozenset()))


def _doubt(held: Sequence[Hold], run: Segment) -> str:
    """Whose change around a time is known the least, and how well."""
    changes = [(change, hold.node) for hold in held for change in (hold.taken, hold.given)]
    near = [(c.latest - c.earliest, node) for c, node in changes if c.earliest <= run.end and c.latest >= run.start]
    known, node = max(near, default=(0.0, ""))
    return f"when {node} took it or let go of it is known to {shown(known)} only"


def _overlap(gaps: Sequence[Blind], segment: Segment) -> bool:
    return any(gap.start < segment.end and gap.end > segment.start for gap in gaps)


def moved(recorded: Recorded) -> Verdict:
    """While the fault lasts the VIP must come to the next best master, or must stay, as promised.

    A fault that heals itself (``transient``) must move it there and back again.
    """
    name, promise, fault = "moved", recorded.promised, recorded.fault
    if promise is None or fault is None:
        return unknown(name, "no fault was recorded")
    heir = next((node for node in recorded.ranking if node not in fault.nodes), "")
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
    returns = promise.transient and recorded.header.preempt
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
    end, fault = recorded.phase("end"), recorded.fault
    if end is None or fault is None or fault.healed is None:
        return unknown(name, "the fault was not seen healed", best)
    healed = fault.healed
    if gaps := holding.blind(recorded, max(healed, end - 2 * holding.MAX_SILENCE), end):
        return unknown(name, _blindness(gaps), best)
    now = _last_look(recorded, end)
    if not recorded.header.preempt:
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
    begun = [h.taken for h in holding.holds(recorded, end) if h.node == best and h.start > fault.begin]
    if not begun:
        return Verdict(name, Outcome.PASS, f"{best} all the time", promised, "it had never left", {})
    last = max(begun, key=lambda taken: taken.at)
    took = last.at - healed
    values = {"return_s": took}
    measured = f"{best} after {shown(took)}" if took > 0 else f"{best} at once"
    reason = "the best master by priority holds it again"
    if back is None or took <= back:
        return Verdict(name, Outcome.PASS, measured, promised, reason, values)
    if last.earliest - healed <= back:
        known = f"when it took it is known to {shown(last.latest - last.earliest)} only"
        return Verdict(name, Outcome.UNKNOWN, measured, promised, f"{reason}; {known}", values)
    return Verdict(name, Outcome.FAIL, measured, promised, reason, values)


STEADY_HOLDER = Check("steady-holder", steady_holder, precondition=True)
HOLDERS = Check("holders", gap_and_overlap)
MOVED = Check("moved", moved)
CAME_BACK = Check("came-back", came_back)
