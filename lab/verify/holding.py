"""Who held the VIP when: the masters' own looks laid over each other. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from lab.verify.recorded import Applied, Recorded

#: Seconds without a look after which a master counts as unobserved. Beats come every 0.1 s; a busy machine is late.
MAX_SILENCE = 1.0


@dataclass(frozen=True)
class Change:
    """A master took the VIP or let go of it: seen at ``at`` (host's time), perhaps up to ``late`` seconds after it was.

    Its clock is known to ±``error`` seconds.
    """

    at: float
    late: float = 0.0
    error: float = 0.0

    @property
    def earliest(self) -> float:
        """Not before this."""
        return self.at - self.late - self.error

    @property
    def latest(self) -> float:
        """Not after this."""
        return self.at + self.error


@dataclass(frozen=True)
class Hold:
    """One master held the VIP from ``taken`` until ``given``."""

    node: str
    taken: Change
    given: Change

    @property
    def start(self) -> float:
        """When it was seen to take it (host's time)."""
        return self.taken.at

    @property
    def end(self) -> float:
        """When it was seen to let go of it."""
        return self.given.at


@dataclass(frozen=True)
class Segment:
    """Between two moments nothing changed: these held it."""

    start: float
    end: float
    holders: frozenset[str]

    @property
    def length(self) -> float:
        """Seconds."""
        return self.end - self.start


@dataclass(frozen=True)
class Blind:
    """A master was not observed between two moments, and no fault had silenced it."""

    node: str
    start: float
    end: float


def silences(faults: Iterable[Applied], node: str, end: float) -> list[tuple[float, float]]:
    """When a node stood still by a fault, and so held nothing whatever it said last."""
    return [(f.moment, f.heal if f.heal is not None else end) for f in faults if f.silences and node in f.nodes]


def holds(recorded: Recorded, end: float) -> list[Hold]:
    """When each master held the VIP, until ``end``, as it was seen."""
    found = []
    for node in recorded.ranking:
        quiet = silences(recorded.faults, node, end)
        since: Change | None = None
        for change, holding in _changes(recorded, node, end, quiet):
            if holding and since is None:
                since = change
            elif not holding and since is not None:
                found.append(Hold(node, since, change))
                since = None
        if since is not None and since.at < end:
            found.append(Hold(node, since, Change(end)))
    return found


def excused(faults: Iterable[Applied], node: str, end: float) -> list[tuple[float, float]]:
    """When a node could not be looked at by a fault: until it was healed, as a machine that boots cannot be asked."""
    return [(f.moment, f.healed if f.healed is not None else end) for f in faults if f.silences and node in f.nodes]


def _within(start: float, end: float, spans: Iterable[tuple[float, float]]) -> float:
    """Seconds between two moments that lie in one of the spans."""
    return sum(max(0.0, min(end, stop) - max(start, begin)) for begin, stop in spans)


def _changes(recorded: Recorded, node: str, end: float, quiet: list[tuple[float, float]]) -> list[tuple[Change, bool]]:
    """(when, holds?) of one master, silences included as "no longer". A watcher that stood with it was not late."""
    still = excused(recorded.faults, node, end)
    looks = [
        (Change(look.at, look.late - _within(look.at - look.late, look.at, still), look.error), look.holds)
        for look in recorded.seen(node)
        if not any(start < look.at < end for start, end in quiet)
    ]
    # A machine is silent from the instant of the fault; a look stamped the same instant came before it.
    return sorted([*looks, *((Change(start), False) for start, _ in quiet)], key=lambda change: change[0].at)


def surely(held: Iterable[Hold]) -> list[Hold]:
    """The same holds, each no longer than it certainly was."""
    found = [Hold(h.node, Change(h.taken.latest), Change(h.given.earliest)) for h in held]
    return [hold for hold in found if hold.start < hold.end]


def possibly(held: Iterable[Hold]) -> list[Hold]:
    """The same holds, each as long as it may have been."""
    return [Hold(h.node, Change(h.taken.earliest), Change(h.given.latest)) for h in held]


def segments(held: Iterable[Hold], start: float, end: float) -> list[Segment]:
    """The time from ``start`` to ``end`` cut wherever a holder came or went."""
    listed = list(held)
    cuts = sorted({start, end, *(m for h in listed for m in (h.start, h.end) if start < m < end)})
    return [
        Segment(left, right, frozenset(h.node for h in listed if h.start <= left and h.end >= right))
        for left, right in itertools.pairwise(cuts)
    ]


def runs(found: Iterable[Segment], several: bool) -> list[Segment]:
    """Neighbouring segments with several holders (or with none) joined: a change inside must not hide the length."""
    joined: list[Segment] = []
    for segment in found:
        if (len(segment.holders) > 1) if several else not segment.holders:
            last = joined[-1] if joined else None
            if last is not None and last.end == segment.start:
                joined[-1] = Segment(last.start, segment.end, last.holders | segment.holders)
            else:
                joined.append(segment)
    return joined


def takings(recorded: Recorded, start: float, end: float) -> list[Hold]:
    """The holds that began by somebody's taking the VIP between two moments, in the order of their time.

    A machine that stood still may never have let go of it: that it is seen to have it afterwards is no taking.
    """
    kept = set()
    for fault in recorded.faults:
        if fault.silences and (heal := fault.heal) is not None:
            for node in fault.nodes:
                kept.add((node, next((look.at for look in recorded.seen(node) if look.at >= heal), None)))
    found = [h for h in holds(recorded, end) if start <= h.start < end and (h.node, h.start) not in kept]
    return sorted(found, key=lambda hold: hold.start)


def blind(recorded: Recorded, start: float, end: float) -> list[Blind]:
    """Where a master was not looked at for longer than MAX_SILENCE although no fault had silenced it."""
    found = []
    for node in recorded.ranking:
        moments = [look.at for look in recorded.seen(node) if start <= look.at <= end]
        still = excused(recorded.faults, node, end)
        for left, right in itertools.pairwise([start, *moments, end]):
            if right - left - _within(left, right, still) > MAX_SILENCE:
                found.append(Blind(node, left, right))
    return found


def booting(recorded: Recorded, end: float) -> list[Blind]:
    """From the heal of a master that a fault had silenced until it was looked at again: it may hold the VIP by then."""
    found = []
    for fault in recorded.faults:
        if fault.silences and (heal := fault.heal) is not None:
            for node in fault.nodes:
                again = (look.at for look in recorded.seen(node) if look.at >= heal)
                found.append(Blind(node, heal, next(again, end)))
    return found
