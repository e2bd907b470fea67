"""What must be seen of the virtual IP: one holder, and no more confusion than its moves need."""

from __future__ import annotations

from collections.abc import Sequence

from lab.verify import holding
from lab.verify.checks import Check, shown, unknown
from lab.verify.holding import Blind, Hold, Segment
from lab.verify.promised import Promised
from lab.verify.recorded import Recorded
from lab.verify.verdict import Outcome, Verdict, merge

#: What was found of one thing that must not last: the outcome, and why ("" for a pass).
Found = tuple[Outcome, str]


def _span(recorded: Recorded) -> tuple[float, float] | None:
    """From the steady state to the end of what was watched."""
    start, end = recorded.phase("steady"), recorded.phase("end")
    return None if start is None or end is None else (start, end)


def blindness(gaps: Sequence[Blind]) -> str:
    """Who was not watched the longest, and for how long."""
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
        return unknown(name, blindness(gaps), promised)
    seen = [s.holders for s in holding.segments(holding.holds(recorded, end), start, end)]
    measured = names(frozenset().union(*seen))
    right = {best} if recorded.header.preempt else set(seen[0])
    wrong = [holders for holders in seen if holders != right or len(holders) != 1]
    if wrong:
        proven = _all_the_time(recorded, start, end)
        holders = measured if proven else names(wrong[0])
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


def names(holders: frozenset[str]) -> str:
    """These holders, in words."""
    return " and ".join(sorted(holders)) or "nobody"


def gap_and_overlap(recorded: Recorded) -> Verdict:
    """From the steady state to the end: nobody, and two together, for at most the promised times.

    A move costs that once: what is within it piece by piece must be so in sum as well, for the moves that are promised.
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
    found = [_nobody(recorded, held, promise, span), _together(recorded, held, promise, span)]
    if gaps := holding.blind(recorded, *span):
        found.append((Outcome.UNKNOWN, blindness(gaps)))
    none_s, two_s = (_longest(held, span, several=several).length for several in (False, True))
    measured = f"none {shown(none_s)}, two {shown(two_s)}"
    outcome = merge(one for one, _ in found)
    reason = "; ".join(said for one, said in found if one is outcome and said)
    every = f"all {len(recorded.ranking)} masters were watched all the time"
    return Verdict(name, outcome, measured, promised, reason or every, {"none_s": none_s, "two_s": two_s})


def _moves(recorded: Recorded, promise: Promised) -> int:
    """How many moves are promised in all, at least one: there, and back where the best master takes it back."""
    return 2 if recorded.header.preempt and promise.moves is not False else 1


def _nobody(recorded: Recorded, held: Sequence[Hold], promise: Promised, span: tuple[float, float]) -> Found:
    """Was nobody the VIP's holder for longer than promised, at once or in sum?"""
    sure, perhaps = _runs(holding.possibly(held), span, several=False), _runs(holding.surely(held), span, several=False)
    # Only a master that was not watched meanwhile can have held it after all.
    unwatched = [*holding.blind(recorded, *span), *holding.booting(recorded, span[1])]
    proven = [run for run in sure if not _overlap(unwatched, run)]
    moves = _moves(recorded, promise)
    total = promise.gap * moves
    worst, least = _worst(proven, span), _worst(sure, span)
    if worst.length > promise.gap:
        return Outcome.FAIL, f"nobody held the VIP for {shown(worst.length)}"
    if _sum(proven) > total:
        return Outcome.FAIL, f"nobody held the VIP for {_in_sum(proven, moves)}"
    if least.length > promise.gap:
        return Outcome.UNKNOWN, f"nobody held the VIP for {shown(least.length)}"
    most = _worst(perhaps, span)
    if most.length > promise.gap:
        return Outcome.UNKNOWN, f"nobody may have held the VIP for {shown(most.length)}: {_doubt(held, most)}"
    if _sum(perhaps) > total:
        return Outcome.UNKNOWN, f"nobody may have held the VIP for {_in_sum(perhaps, moves)}"
    return Outcome.PASS, ""


def _together(recorded: Recorded, held: Sequence[Hold], promise: Promised, span: tuple[float, float]) -> Found:
    """Had several masters the VIP together for longer than promised, at once or in sum?"""
    sure, perhaps = _runs(holding.surely(held), span, several=True), _runs(holding.possibly(held), span, several=True)
    unwatched = holding.blind(recorded, *span)
    proven = [run for run in sure if not _overlap([gap for gap in unwatched if gap.node in run.holders], run)]
    moves = _moves(recorded, promise)
    worst, least = _worst(proven, span), _worst(sure, span)
    said = "{} held the VIP together for {}"
    if worst.length > promise.lost:
        return Outcome.FAIL, said.format(names(worst.holders), shown(worst.length))
    if _sum(proven) > promise.lost * moves:
        return Outcome.FAIL, said.format("several", _in_sum(proven, moves))
    if least.length > promise.double:
        lost = ": an advertisement was lost, or came late" if least == worst else ""
        return Outcome.UNKNOWN, said.format(names(least.holders), shown(least.length)) + lost
    most = _worst(perhaps, span)
    if most.length > promise.double:
        both = f"{names(most.holders)} may have held the VIP together for {shown(most.length)}"
        return Outcome.UNKNOWN, f"{both}: {_doubt(held, most)}"
    if _sum(perhaps) > promise.double * moves:
        return Outcome.UNKNOWN, f"several may have held the VIP together for {_in_sum(perhaps, moves)}"
    return Outcome.PASS, ""


def _runs(held: Sequence[Hold], span: tuple[float, float], *, several: bool) -> list[Segment]:
    """All times in which several held it (or nobody did)."""
    return holding.runs(holding.segments(held, *span), several)


def _worst(runs: Sequence[Segment], span: tuple[float, float]) -> Segment:
    """The longest of them; one of no length where there is none."""
    return max(runs, key=lambda run: run.length, default=Segment(span[0], span[0], frozenset()))


def _sum(runs: Sequence[Segment]) -> float:
    return sum(run.length for run in runs)


def _in_sum(runs: Sequence[Segment], moves: int) -> str:
    """How long these are together, in words, beside the moves they would have to be for."""
    return f"{shown(_sum(runs))} in {len(runs)} pieces, with {moves} {'move' if moves == 1 else 'moves'} promised"


def _longest(held: Sequence[Hold], span: tuple[float, float], *, several: bool) -> Segment:
    """The longest time in which several held it (or nobody did); one of no length when that never was."""
    return _worst(_runs(held, span, several=several), span)


def _doubt(held: Sequence[Hold], run: Segment) -> str:
    """Whose change around a time is known the least, and how well."""
    changes = [(change, hold.node) for hold in held for change in (hold.taken, hold.given)]
    near = [(c.latest - c.earliest, node) for c, node in changes if c.earliest <= run.end and c.latest >= run.start]
    known, node = max(near, default=(0.0, ""))
    return f"when {node} took it or let go of it is known to {shown(known)} only"


def _overlap(gaps: Sequence[Blind], segment: Segment) -> bool:
    return any(gap.start < segment.end and gap.end > segment.start for gap in gaps)


STEADY_HOLDER = Check("steady-holder", steady_holder, precondition=True)
HOLDERS = Check("holders", gap_and_overlap)
