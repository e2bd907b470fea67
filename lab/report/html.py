"""report.html: one file that needs nothing else, readable in light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from lab.report import timeline
from lab.report.timeline import Drawing
from lab.verify.cases import CASES
from lab.verify.recorded import Recorded
from lab.verify.verdict import CaseVerdict, Outcome, merge

#: Records that a reader wants in words; the others are drawn or counted.
TOLD = ("note", "trouble", "broken-off", "probe-skipped")


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
    case = CASES.get(verdict.case.partition("#")[0])
    first = recorded.records[0] if recorded.records else None
    began = datetime.fromtimestamp(float(first["r"])).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z") if first else ""
    notes = [_told(recorded, kind) for kind in TOLD]
    return Section(
        verdict,
        case.shows if case else "",
        timeline.whole(recorded),
        tuple(timeline.close_ups(recorded)),
        tuple(note for group in notes for note in group),
        began,
        tuple(_facts(recorded)),
    )


def _told(recorded: Recorded, kind: str) -> list[str]:
    """What was said in words, each once with how often it was said."""
    counts: dict[str, int] = {}
    for record in recorded.of(kind):
        said = (
            record.get("text") or record.get("what") or f"{record.get('count')} connections not started: it stood still"
        )
        counts[f"{record['source']}: {said}"] = counts.get(f"{record['source']}: {said}", 0) + 1
    return [text if count == 1 else f"{text} ({count} times)" for text, count in counts.items()]


def _facts(recorded: Recorded) -> list[tuple[str, str]]:
    """What one wants to know to trust the figures."""
    facts = []
    priorities = recorded.header.get("priorities")
    if isinstance(priorities, Mapping):
        facts.append(("Masters by priority", ", ".join(f"{node} ({value})" for node, value in priorities.items())))
    if recorded.header.get("vip"):
        facts.append(("Endpoint", f"{recorded.header['vip']}:{recorded.header['port']}"))
    connections = recorded.connections
    if connections:
        late = sorted(c.late for c in connections)[int(len(connections) * 0.99)]
        facts.append(("Connections", f"{len(connections)}, 99 % started within {late * 1000:.0f} ms of their schedule"))
    if clocks := recorded.of("clock"):
        worst = max(float(clock["error"]) for clock in clocks)
        most = max(abs(float(clock["offset"])) for clock in clocks)
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


def render(run: str, cases: Sequence[CaseVerdict], records: Mapping[str, Recorded]) -> str:
    """The whole page."""
    outcome = merge(case.outcome for case in cases)
    counted = {str(kind): sum(case.outcome is kind for case in cases) for kind in Outcome}
    sections = [section(case, records.get(case.case, Recorded(()))) for case in cases]
    return _template().render(run=run, outcome=outcome, counted=counted, sections=sections)
