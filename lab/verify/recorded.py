"""One case's history, read back: typed, in this host's time, and still without any judgement."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from lab.plan.promises import GRAIN
from lab.verify.history import LAB, Record
from lab.verify.pace import Pace, recorded_pace

#: A stamp that lies further behind its arrival (seconds) than this, from a machine that was made to stand still, is
#: that of a clock that stood with it: then the arrival counts. Ordinary arrivals come within milliseconds.
STOOD_STILL = 1.0

#: Seconds of lateness that every program knows: a fifth of the time between two looks at a master.
PROMPT = 0.02


@dataclass(frozen=True)
class Promised:
    """What the definition's own timers promise of a fault, in seconds, as the history's header keeps it.

    ``minimum`` to ``maximum``: until all is as before for clients (or for the lease); a maximum of None means: not
    before it is healed. ``gap`` is the longest time without a holder, ``double`` the longest with two; ``lost`` is that
    where an advertisement is lost on its way. ``moves``: must the VIP move? None when either is right. ``back``: from
    the heal until the best master has the VIP again, None when that is not promised. ``transient``: the fault heals
    itself, and the VIP comes back by itself. ``failback``: the longest outage from the heal on; None when nothing is
    promised of it, as in runs from before it was judged.
    """

    minimum: float
    maximum: float | None
    gap: float
    double: float
    moves: bool | None
    back: float | None
    reason: str
    transient: bool = False
    lost: float = 0.0
    failback: float | None = None


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
    """One fault, in host's time: ``moment`` is when it took effect.

    ``heal`` is when healing began, ``healed`` when it was over; None while that has not happened. ``silences``: the
    machine itself stood still meanwhile.
    """

    name: str
    node: str
    begin: float
    moment: float
    heal: float | None
    healed: float | None
    silences: bool


class Recorded:
    """What one case's records say."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records: tuple[Record, ...] = tuple(records)

    def of(self, kind: str, source: str | None = None) -> list[Record]:
        """All records of one kind (of one source), as they arrived."""
        return [r for r in self.records if r["kind"] == kind and (source is None or r["source"] == source)]

    @cached_property
    def header(self) -> Mapping[str, object]:
        """What the case started from; {} when the history has no header."""
        found = self.of("header")
        return found[0] if found else {}

    @cached_property
    def ranking(self) -> tuple[str, ...]:
        """The masters by priority, best first."""
        return tuple(_names(self.header.get("ranking")))

    @cached_property
    def workers(self) -> tuple[str, ...]:
        """The workers."""
        return tuple(_names(self.header.get("workers")))

    @cached_property
    def pace(self) -> Pace:
        """How fast the client knocked, and what was too slow."""
        return recorded_pace(self.header.get("pace"))

    @property
    def preempts(self) -> bool:
        """Does the best master always take the VIP (back)?"""
        return bool(self.header.get("preempt", True))

    @cached_property
    def promised(self) -> Promised | None:
        """What was promised of this case's fault; None where nothing was."""
        given = self.header.get("promise")
        if not isinstance(given, Mapping):
            return None
        most, moves, back, failback = given["maximum"], given["moves"], given["back"], given.get("failback")
        # Older headers had one bound for two holders, an advertisement: no more than a lost one explains.
        double, lost = float(given["double"]), float(given.get("lost", given["double"]))
        return Promised(
            float(given["minimum"]),
            None if most is None else float(most),
            float(given["gap"]),
            min(double, GRAIN),
            None if moves is None else bool(moves),
            None if back is None else float(back),
            str(given["reason"]),
            bool(given.get("transient", False)),
            lost,
            None if failback is None else float(failback),
        )

    @cached_property
    def _clocks(self) -> Mapping[str, Sequence[Record]]:
        """The measurements of each source's clock."""
        found: dict[str, list[Record]] = {}
        for record in self.of("clock"):
            found.setdefault(record["source"], []).append(record)
        return found

    def _clock(self, source: str, arrived: float) -> tuple[float, float]:
        """(offset, error) of a source's clock, as measured nearest to a moment; unmeasured: the host's own."""
        clocks = self._clocks.get(source)
        if not clocks:
            return 0.0, 0.0
        nearest = min(clocks, key=lambda record: abs(float(record["r"]) - arrived))
        return float(nearest["offset"]), float(nearest["error"])

    def host_time(self, record: Record) -> float:
        """When a record was made, by this host's clock."""
        if record["source"] == LAB:
            return float(record["t"])
        arrived = float(record["r"])
        offset, _ = self._clock(record["source"], arrived)
        told = float(record["t"]) - offset
        if arrived - told > STOOD_STILL and any(start < arrived for start in self._stood.get(record["source"], ())):
            return arrived
        return told

    @cached_property
    def _stood(self) -> Mapping[str, Sequence[float]]:
        """When machines were made to stand still: a virtual one's clock may have stood with it."""
        found: dict[str, list[float]] = {}
        for record in self.of("fault"):
            if record["event"] == "begin" and record["silences"]:
                found.setdefault(str(record["node"]), []).append(float(record["t"]))
        return found

    def phase(self, name: str) -> float | None:
        """When a phase began; None when it never did."""
        return next((float(r["t"]) for r in self.of("phase") if r["name"] == name), None)

    @property
    def begun(self) -> bool:
        """Did the case come to what it does, beyond waiting for the steady state?"""
        return any(self.phase(name) is not None for name in ("fault", "requests"))

    @cached_property
    def connections(self) -> tuple[Connection, ...]:
        """The client's connections in the order of their starts."""
        found = [
            Connection(self.host_time(r), float(r["latency"]), float(r["late"]), str(r["outcome"]))
            for r in self.of("probe")
        ]
        return tuple(sorted(found, key=lambda connection: connection.start))

    @cached_property
    def faults(self) -> tuple[Applied, ...]:
        """The faults in the order they began."""
        return tuple(_faults(self))

    def seen(self, master: str) -> Sequence[Seen]:
        """All looks at one master, in the order of their time."""
        return self._looks.get(master, ())

    @cached_property
    def _looks(self) -> Mapping[str, Sequence[Seen]]:
        found: dict[str, list[tuple[Seen, bool]]] = {}
        for r in self.of("holder"):
            error = self._clock(r["source"], float(r["r"]))[1]
            look = Seen(self.host_time(r), bool(r["holds"]), float(r["late"]), error)
            found.setdefault(r["source"], []).append((look, r.get("why") == "beat"))
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


def _names(value: object) -> Sequence[str]:
    return [str(name) for name in value] if isinstance(value, list | tuple) else []


def _faults(recorded: Recorded) -> Iterable[Applied]:
    records = recorded.of("fault")
    for begin in (record for record in records if record["event"] == "begin"):
        later = {r["event"]: r for r in records if r["id"] == begin["id"]}
        begun, heal, healed = later.get("begun"), later.get("heal"), later.get("healed")
        moment = recorded.host_time(begun) if begun else float(begin["t"])
        if begin["silences"]:
            # No machine tells of its own end: what it said last, while it was being cut, is nearest to the truth.
            said = [look.at for look in recorded.seen(str(begin["node"])) if float(begin["t"]) <= look.at <= moment]
            moment = max(said, default=float(begin["t"]))
        yield Applied(
            str(begin["name"]),
            str(begin["node"]),
            float(begin["t"]),
            moment,
            float(heal["t"]) if heal else None,
            float(healed["t"]) if healed else None,
            bool(begin["silences"]),
        )
