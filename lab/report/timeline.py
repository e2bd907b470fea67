"""A case drawn on a line of time: the client's connections above, who held the VIP below. Pure geometry."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from lab.faults.kinds import KINDS
from lab.verify import holding, outage
from lab.verify.recorded import Connection, Recorded
from lab.verify.records import Lease, Pod
from lab.verify.suffered import found_under

#: The drawing's size in its own units (CSS pixels at full width).
WIDTH, LEFT, RIGHT = 1120.0, 92.0, 16.0
TOP, PLOT, LANE, LANE_GAP, GROUP_GAP = 30.0, 170.0, 18.0, 8.0, 30.0

#: How a fault is drawn whose kind is not known any more.
UNKNOWN = "broken"

#: Latencies shown, in seconds: logarithmic, because a millisecond and a second both matter.
FLOOR, CEILING = 0.001, 1.0

#: Seconds shown before and after a fault in the close-up.
CLOSE_BEFORE, CLOSE_AFTER = 0.5, 1.0


@dataclass(frozen=True)
class Dot:
    """One connection."""

    x: float
    y: float
    kind: str
    title: str


@dataclass(frozen=True)
class Bar:
    """One span on a lane."""

    x: float
    y: float
    width: float
    kind: str
    title: str


@dataclass(frozen=True)
class Mark:
    """A moment or a tick, with its label."""

    at: float
    label: str
    kind: str = ""
    row: int = 0


@dataclass(frozen=True)
class Drawing:
    """Everything that the template puts on the page, in the drawing's units."""

    name: str
    height: float
    plot_top: float
    plot_bottom: float
    lanes_top: float
    lanes_bottom: float
    dots: tuple[Dot, ...]
    bars: tuple[Bar, ...]
    lanes: tuple[Mark, ...]
    marks: tuple[Mark, ...]
    ticks: tuple[Mark, ...]
    levels: tuple[Mark, ...]
    shades: tuple[Bar, ...]
    width: float = WIDTH
    left: float = LEFT
    right: float = WIDTH - RIGHT
    lane: float = LANE


@dataclass(frozen=True)
class Scale:
    """Time (seconds since the epoch) to the drawing's x."""

    start: float
    end: float

    def x(self, moment: float) -> float:
        """Where a moment lies; moments outside are put on the edge."""
        share = (moment - self.start) / (self.end - self.start)
        return round(LEFT + max(0.0, min(1.0, share)) * (WIDTH - LEFT - RIGHT), 2)


def level(latency: float) -> float:
    """Where a latency lies: logarithmic, the slow at the top."""
    share = math.log(max(FLOOR, min(CEILING, latency)) / FLOOR) / math.log(CEILING / FLOOR)
    return round(TOP + PLOT * (1 - share), 2)


def span(recorded: Recorded) -> tuple[float, float] | None:
    """From a little before the steady state (or the first connection) to the end; None when nothing was recorded."""
    moments = [c.start for c in recorded.connections]
    start = recorded.phase("steady") or min(moments, default=None)
    end = recorded.phase("end") or max(moments, default=None)
    return None if start is None or end is None or end <= start else (start, end)


def whole(recorded: Recorded) -> Drawing | None:
    """The whole case."""
    found = span(recorded)
    return None if found is None else draw(recorded, "whole", *found)


def close_ups(recorded: Recorded) -> list[Drawing]:
    """The moments around each fault and each heal, where everything happens within milliseconds."""
    found = span(recorded)
    if found is None:
        return []
    drawings = []
    for fault in recorded.faults:
        end = fault.heal if fault.heal is not None else found[1]
        suffered = found_under(recorded, fault, end)
        until = suffered[0].end if suffered else fault.moment
        drawings.append(draw(recorded, "fault", fault.moment - CLOSE_BEFORE, min(found[1], until + CLOSE_AFTER)))
        if fault.heal is not None:
            back = [h.start for h in holding.holds(recorded, found[1]) if h.start > fault.heal]
            until = max([fault.healed or fault.heal, *back])
            drawings.append(draw(recorded, "heal", fault.heal - CLOSE_BEFORE, min(found[1], until + CLOSE_AFTER)))
    return [drawing for drawing in drawings if drawing is not None]


def draw(recorded: Recorded, name: str, start: float, end: float) -> Drawing:
    """The case between two moments."""
    scale = Scale(start, max(end, start + 0.001))
    bottom = TOP + PLOT
    lanes_top = bottom + GROUP_GAP
    nodes = recorded.ranking
    rows = {node: lanes_top + index * (LANE + LANE_GAP) for index, node in enumerate(nodes)}
    lanes_bottom = lanes_top + len(nodes) * (LANE + LANE_GAP) - LANE_GAP if nodes else bottom
    return Drawing(
        name=name,
        height=lanes_bottom + 34,
        plot_top=TOP,
        plot_bottom=bottom,
        lanes_top=lanes_top,
        lanes_bottom=lanes_bottom,
        dots=tuple(_dots(recorded.connections, scale, recorded.pace.slow)),
        bars=tuple(_bars(recorded, scale, rows)),
        lanes=tuple(Mark(row, node) for node, row in rows.items()),
        marks=tuple(_marks(recorded, scale)),
        ticks=tuple(_ticks(scale, recorded)),
        levels=tuple(Mark(level(value), label) for value, label in LEVELS),
        shades=tuple(_shades(recorded, scale, TOP)),
    )


LEVELS = ((0.001, "1 ms"), (0.01, "10 ms"), (0.1, "100 ms"), (1.0, "1 s"))


def _dots(connections: Iterable[Connection], scale: Scale, slow: float) -> Iterable[Dot]:
    for connection in connections:
        if scale.start <= connection.start <= scale.end:
            kind = "good" if not outage.failed(connection, slow) else "slow" if connection.outcome == "ok" else "bad"
            title = f"{connection.outcome}, {connection.latency * 1000:.1f} ms"
            # A refusal comes quickly and is no quick answer: all failures stand at the top.
            shown = connection.latency if kind != "bad" else CEILING
            yield Dot(scale.x(connection.start), level(shown), kind, title)


def _bars(recorded: Recorded, scale: Scale, rows: dict[str, float]) -> Iterable[Bar]:
    for hold in holding.holds(recorded, scale.end):
        if hold.end > scale.start and hold.start < scale.end:
            left = scale.x(hold.start)
            width = max(1.0, round(scale.x(hold.end) - left, 2))
            yield Bar(
                left, rows[hold.node], width, "holds", f"{hold.node} held the VIP for {hold.end - hold.start:.3f} s"
            )
    for fault in recorded.faults:
        style = KINDS[fault.kind].drawn if fault.kind in KINDS else UNKNOWN
        for node in (node for node in fault.nodes if node in rows):
            end = fault.heal if fault.heal is not None else scale.end
            if end > scale.start and fault.moment < scale.end:
                left = scale.x(fault.moment)
                yield Bar(left, rows[node], round(scale.x(end) - left, 2), style, f"{fault.kind} on {node}")


def _marks(recorded: Recorded, scale: Scale) -> Iterable[Mark]:
    moments: list[tuple[float, str, str]] = []
    for fault in recorded.faults:
        moments.append((fault.moment, str(fault), "fault"))
        if fault.heal is not None:
            moments.append((fault.heal, "heal", "heal"))
    moments += [(recorded.host_time(r), f"pod {r.event}", "event") for r in recorded.of(Pod)]
    for lease in recorded.of(Lease)[1:]:
        moments.append((recorded.host_time(lease), f"lease → {lease.host or 'nobody'}", "event"))
    requests = recorded.phase("requests")
    if requests is not None:
        moments.append((requests, "requests", "event"))
    row, last = 0, -math.inf
    for at, label, kind in sorted(moments):
        if scale.start <= at <= scale.end:
            x = scale.x(at)
            # Labels that would lie over each other take turns in two rows.
            row = 1 - row if x - last < 7.0 * len(label) else 0
            last = x
            yield Mark(x, label, kind, row)


def _ticks(scale: Scale, recorded: Recorded) -> Iterable[Mark]:
    zero = recorded.faults[0].moment if recorded.faults else scale.start
    wanted = (scale.end - scale.start) / 10
    step = next(s for s in STEPS if s >= wanted) if wanted <= STEPS[-1] else STEPS[-1] * math.ceil(wanted / STEPS[-1])
    number = math.ceil((scale.start - zero) / step)
    while zero + number * step <= scale.end:
        offset = number * step
        label = f"{offset * 1000:+.0f} ms" if step < 1 else f"{offset:+.0f} s"
        yield Mark(scale.x(zero + offset), "0" if number == 0 else label)
        number += 1


STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0)


def _shades(recorded: Recorded, scale: Scale, top: float) -> Iterable[Bar]:
    for fault in recorded.faults:
        end = fault.heal if fault.heal is not None else scale.end
        if end > scale.start and fault.moment < scale.end:
            left = scale.x(fault.moment)
            yield Bar(left, top, round(scale.x(end) - left, 2), "fault", "the fault lasts")
