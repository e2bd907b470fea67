"""report.html: one file that needs nothing else, readable in light and dark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from lab.report import timeline
from lab.report.timeline import Drawing
from lab.verify.cases import CASES
from lab.verify.judge import Judged
from lab.verify.recorded import Recorded
from lab.verify.records import BrokenOff, Clock, Note, ProbeSkipped, Record, Trouble
from lab.verify.verdict import CaseVerdict, Outcome, merge


@dataclass(frozen=True)
class Section:
    """One case on the page."""

    verdict: CaseVerdict
    shows: str
    drawing: Drawing | None
    close_ups: tuple[Drawing, ...]
    notes: tuple[str, ...]
    began: str
    facts: tuple[tuple[str, str], ...]


def section(verdict: CaseVerdict, recorded: Recorded) -> Section:
    """One case's verdicts, drawings and notes. Pure."""
    case = CASES.get(verdict.case)
    first = recorded.records.first
    began = datetime.fromtimestamp(first.r).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z") if first else ""
    return Section(
        verdict,
        case.shows if case else "",
        timeline.whole(recorded),
        tuple(timeline.close_ups(recorded)),
        tuple(_told(recorded)),
        began,
        tuple(_facts(recorded)),
    )


def _told(recorded: Recorded) -> list[str]:
    """What a reader wants in words, kind by kind, each once with how often it was said; the rest is drawn."""
    said: list[tuple[Record, str]] = [
        *((note, note.text) for note in recorded.of(Note)),
        *((trouble, trouble.what) for trouble in recorded.of(Trouble)),
        *((broken, broken.text) for broken in recorded.of(BrokenOff)),
        *((one, f"{one.count} connections not started: it stood still") for one in recorded.of(ProbeSkipped)),
    ]
    counts = Counter(f"{record.source}: {text}" for record, text in said)
    return [text if count == 1 else f"{text} ({count} times)" for text, count in counts.items()]


def _facts(recorded: Recorded) -> list[tuple[str, str]]:
    """What one wants to know to trust the figures."""
    facts, header = [], recorded.header
    if header.priorities:
        ranked = ", ".join(f"{node} ({value})" for node, value in header.priorities.items())
        facts.append(("Masters by priority", ranked))
    if header.vip:
        facts.append(("Endpoint", f"{header.vip}:{header.port}"))
    connections = recorded.connections
    if connections:
        late = sorted(c.late for c in connections)[int(len(connections) * 0.99)]
        facts.append(("Connections", f"{len(connections)}, 99 % started within {late * 1000:.0f} ms of their schedule"))
    if clocks := recorded.of(Clock):
        worst = max(clock.error for clock in clocks)
        most = max(abs(clock.offset) for clock in clocks)
        facts.append(("Clocks", f"at most {most * 1000:.1f} ms apart from the host's, known to {worst * 1000:.2f} ms"))
    return facts


@cache
def _template() -> Template:
    """The page's template, read once."""
    loader = FileSystemLoader(Path(__file__).parent)
    strict = Environment(
        loader=loader, undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return strict.get_template("report.html.j2")


def render(run: str, judged: Sequence[Judged]) -> str:
    """The whole page."""
    outcomes = Counter(one.verdict.outcome for one in judged)
    outcome, counted = merge(outcomes), {str(kind): outcomes[kind] for kind in Outcome}
    sections = [section(one.verdict, one.recorded) for one in judged]
    return _template().render(run=run, outcome=outcome, counted=counted, sections=sections)
