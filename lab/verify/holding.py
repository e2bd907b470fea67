"""Who held the VIP when: the masters' own looks laid over each other. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from lab.verify.recorded import Applied, Recorded

#: Seconds without a look after which a master counts as unobserved. Beats come every 0.2 s; a busy machine is late.
MAX_SILENCE = 1.0


@dataclass(frozen=True)
class Hold:
    """One master held the VIP from ``start`` to ``end`` (host's time)."""

    node: str
    start: float
    end: float
    error: float


@dataclass(frozen=True)
class Segment:
    """Between two moments nothing changed: these held it."""

    start: float
    end: float
    holders: frozenset[str]
    error: float = 0.0

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
    return [(f.moment, f.heal if f.heal is not None else end) for f in faults if f.silences and f.node == node]


def holds(recorded: Recorded, end: float) -> list[Hold]:
    """When each master held the VIP, until ``end``."""
    found = []
    for node in recorded.ranking:
        quiet = silences(recorded.faults, node, end)
        since: float | None = None
        error = 0.0
        for at, holding, wrong in _changes(recorded, node, quiet):
            if holding and since is None:
                since, error = at, wrong
            elif not holding and since is not None:
                found.append(Hold(node, since, at, max(error, wrong)))
                since = None
        if since is not None and since < end:
            found.append(Hold(node, since, end, error))
    return found


def _changes(recorded: Recorded, node: str, quiet: list[tuple[float, float]]) -> list[tuple[float, bool, float]]:
    """(time, holds?, error in seconds) of one master, silences included as "no longer"."""
    looks = [
        (look.at, look.holds, look.error)
        for look in recorded.seen(node)
        if not any(start < look.at < end for start, end in quiet)
    ]
    # A machine is silent from the instant of the fault; a look stamped the same instant came before it.
    return sorted([*looks, *((start, False, 0.0) for start, _ in quiet)], key=lambda change: change[0])


def segments(held: Iterable[Hold], start: float, end: float) -> list[Segment]:
    """The time from ``start`` to ``end`` cut wherever a holder came or went."""
    listed = list(held)
    cuts = sorted({start, end, *(m for h in listed for m in (h.start, h.end) if start < m < end)})
    found = []
    for left, right in itertools.pairwise(cuts):
        during = [h for h in listed if h.start <= left and h.end >= right]
        error = sum(h.error for h in listed if h.start in (left, right) or h.end in (left, right))
        found.append(Segment(left, right, frozenset(h.node for h in during), error))
    return found


def runs(found: Iterable[Segment], several: bool) -> list[Segment]:
    """Neighbouring segments with several holders (or with none) joined: a change inside must not hide the length."""
    joined: list[Segment] = []
    for segment in found:
        if (len(segment.holders) > 1) if several else not segment.holders:
            last = joined[-1] if joined else None
            if last is not None and last.end == segment.start:
                joined[-1] = Segment(
                    last.start, segment.end, last.holders | segment.holders, max(last.error, segment.error)
                )
            else:
                joined.append(segment)
    return joined


def blind(recorded: Recorded, start: float, end: float) -> list[Blind]:
    """Where a master was not looked at for longer than MAX_SILENCE although no fault had silenced it.

    A machine that is being healed is excused until the heal is over: it boots, and cannot be asked yet.
    """
    found = []
    for node in recorded.ranking:
        moments = [look.at for look in recorded.seen(node) if start <= look.at <= end]
        excused = [(f.moment, f.healed if f.healed is not None else end)
                   for f in recorded.faults if f.silences and f.node == node]  # fmt: skip
        marks = [start, *moments, end]
        for left, right in itertools.pairwise(marks):
            covered = sum(max(0.0, min(right, stop) - max(left, begin)) for begin, stop in excused)
            if right - left - covered > MAX_SILENCE:
                found.append(Blind(node, left, right))
    return found
