"""One case's history, read back: typed, in this host's time, and still without any judgement."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from lab.verify.history import Kind, Records
from lab.verify.pace import Pace
from lab.verify.promised import Promised
from lab.verify.records import LAB, Clock, FaultStep, Header, Holder, Phase, Probe, Record

#: A stamp that lies further behind its arrival (seconds) than this, from a machine that was made to stand still, is
#: that of a clock that stood with it: then the arrival counts. Ordinary arrivals come within milliseconds.
STOOD_STILL = 1.0

#: Seconds of lateness that every program knows: a fifth of the time between two looks at a master.
PROMPT = 0.02


@dataclass(frozen=True)
class Connection:
    """One connection of the client: its start (host's time), seconds to the answer and behind schedule, outcome."""

    start: float
    latency: float
    late: float
    outcome: str


@dataclass(frozen=True)
class Seen:
    """One look at whether a master holds the VIP, in host's time.

    What it tells was so at ``at``, or up to ``late`` seconds before that: the watcher may have waited for a processor.
    The machine's clock is known to ±``error`` seconds.
    """

    at: float
    holds: bool
    late: float
    error: float


@dataclass(frozen=True)
class Applied:
    """One fault, or all of a case as one, in host's time: ``moment`` is when it took effect.

    ``heal`` is when healing began, ``healed`` when it was over; None while that has not happened. ``silences``: the
    machines themselves stood still meanwhile.
    """

    kind: str
    nodes: tuple[str, ...]
    begin: float
    moment: float
    heal: float | None
    healed: float | None
    silences: bool

    @property
    def node(self) -> str:
        """The machine that it was done to; of several the first."""
        return self.nodes[0]

    def __str__(self) -> str:
        return f"{self.kind} on {' and '.join(self.nodes)}"


class Recorded:
    """What one case's records say.

    ``window``, two moments, is what counts as the steady state while a case is still waiting for it; a case that has
    passed it says so itself.
    """

    def __init__(self, given: Records | Iterable[Record], window: tuple[float, float] | None = None) -> None:
        self.records = given if isinstance(given, Records) else Records(given)
        self._window = window

    def of(self, kind: type[Kind]) -> Sequence[Kind]:
        """All records of one kind, as they arrived."""
        return self.records.of(kind)

    @cached_property
    def header(self) -> Header:
        """What the case started from; one that says nothing when the history has none."""
        return next(iter(self.of(Header)), Header(t=0.0, r=0.0))

    @property
    def ranking(self) -> tuple[str, ...]:
        """The masters by priority, best first."""
        return self.header.ranking

    @property
    def pace(self) -> Pace:
        """How fast the client knocked, and what was too slow."""
        return self.header.pace

    @property
    def promised(self) -> Promised | None:
        """What was promised of this case's fault; None where nothing was."""
        return self.header.promise

    @cached_property
    def _clocks(self) -> Mapping[str, Sequence[Clock]]:
        """The measurements of each source's clock."""
        found: dict[str, list[Clock]] = {}
        for record in self.of(Clock):
            found.setdefault(record.source, []).append(record)
        return found

    def _clock(self, source: str, arrived: float) -> tuple[float, float]:
        """(offset, error) of a source's clock, as measured nearest to a moment; unmeasured: the host's own."""
        clocks = self._clocks.get(source)
        if not clocks:
            return 0.0, 0.0
        nearest = min(clocks, key=lambda record: abs(record.r - arrived))
        return nearest.offset, nearest.error

    def host_time(self, record: Record) -> float:
        """When a record was made, by this host's clock."""
        if record.source == LAB:
            return record.t
        told = record.t - self._clock(record.source, record.r)[0]
        if record.r - told > STOOD_STILL and any(start < record.r for start in self._stood.get(record.source, ())):
            return record.r
        return told

    @cached_property
    def _stood(self) -> Mapping[str, Sequence[float]]:
        """When machines were made to stand still: a virtual one's clock may have stood with it."""
        found: dict[str, list[float]] = {}
        for record in self.of(FaultStep):
            if record.event == "begin" and record.silences:
                for node in record.fault.targets:
                    found.setdefault(node, []).append(record.t)
        return found

    def phase(self, name: str) -> float | None:
        """When a phase began; None when it never did."""
        return next((record.t for record in self.of(Phase) if record.name == name), None)

    @property
    def steady(self) -> float | None:
        """When the steady state began; None when there was none."""
        return self._window[0] if self._window else self.phase("steady")

    def steady_until(self, *phases: str) -> float | None:
        """When the steady state ended: with the first of these phases; None when none of them ever came."""
        if self._window:
            return self._window[1]
        return min((moment for name in phases if (moment := self.phase(name)) is not None), default=None)

    @property
    def begun(self) -> bool:
        """Did the case come to what it does, beyond waiting for the steady state?"""
        return any(self.phase(name) is not None for name in ("fault", "requests"))

    @cached_property
    def connections(self) -> tuple[Connection, ...]:
        """The client's connections in the order of their starts."""
        found = [Connection(self.host_time(r), r.latency, r.late, r.outcome) for r in self.of(Probe)]
        return tuple(sorted(found, key=lambda connection: connection.start))

    @cached_property
    def faults(self) -> tuple[Applied, ...]:
        """The faults in the order they began."""
        return tuple(_faults(self))

    @cached_property
    def fault(self) -> Applied | None:
        """All that the case did, as one fault: from the first one's begin until the last one is healed."""
        if len(self.faults) < 2:
            return next(iter(self.faults), None)
        heals, healed = ([getattr(one, name) for one in self.faults] for name in ("heal", "healed"))
        return Applied(
            " and ".join(dict.fromkeys(one.kind for one in self.faults)),
            tuple(dict.fromkeys(node for one in self.faults for node in one.nodes)),
            min(one.begin for one in self.faults),
            min(one.moment for one in self.faults),
            min((moment for moment in heals if moment is not None), default=None),
            None if None in healed else max(healed),
            any(one.silences for one in self.faults),
        )

    def seen(self, master: str) -> Sequence[Seen]:
        """All looks at one master, in the order of their time."""
        return self._looks.get(master, ())

    @cached_property
    def _looks(self) -> Mapping[str, Sequence[Seen]]:
        found: dict[str, list[tuple[Seen, bool]]] = {}
        for r in self.of(Holder):
            look = Seen(self.host_time(r), r.holds, r.late, self._clock(r.source, r.r)[1])
            found.setdefault(r.source, []).append((look, r.why == "beat"))
        return {master: _belated(sorted(looks, key=lambda one: one[0].at)) for master, looks in found.items()}


def _belated(looks: Sequence[tuple[Seen, bool]]) -> list[Seen]:
    """One master's looks (and whether each is a beat), with how late each really may be.

    A change is stamped when the watcher gets to it, and cannot tell how long it had to wait for a processor. The next
    beat can: it has a time at which it was due. A watcher that missed that time may have stood still ever since its
    last look, so that all that it tells afterwards may be as old. So may what a beat finds changed before any event of
    it was heard.
    """
    found, due, late = [], math.inf, 0.0
    for index in reversed(range(len(looks))):
        look, beat = looks[index]
        before = looks[index - 1][0] if index else look
        stale = look.at - (before.at - before.late)
        if beat:
            due, late = look.at - look.late, look.late
            if look.holds != before.holds:
                look = replace(look, late=max(look.late, stale))
        elif look.at >= due:
            look = replace(look, late=max(look.late, stale if late > PROMPT else look.at - due))
        found.append(look)
    return found[::-1]


def _faults(recorded: Recorded) -> Iterable[Applied]:
    steps = recorded.of(FaultStep)
    for begin in (step for step in steps if step.event == "begin"):
        told = [step for step in steps if step.id == begin.id]
        begun, heal, healed = ([s for s in told if s.event == event] for event in ("begun", "heal", "healed"))
        moment = min((recorded.host_time(step) for step in begun), default=begin.t)
        if begin.silences:
            # No machine tells of its own end: what it said last, while it was being cut, is nearest to the truth.
            looks = [look.at for node in begin.fault.targets for look in recorded.seen(node)]
            moment = max((at for at in looks if begin.t <= at <= moment), default=begin.t)
        yield Applied(
            begin.fault.kind,
            begin.fault.targets,
            begin.t,
            moment,
            heal[0].t if heal else None,
            healed[0].t if healed else None,
            begin.silences,
        )
