"""Judging a run by its folder: pure but for reading it, so that an old run can be judged again by newer checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lab.verify.cases import CASES
from lab.verify.checks import judge_all
from lab.verify.history import load
from lab.verify.recorded import Recorded
from lab.verify.records import BrokenOff, Part
from lab.verify.verdict import WEIGHT, CaseVerdict, Outcome, Verdict, merge


@dataclass(frozen=True)
class Judged:
    """A case of a run: the verdict on it, and the record that it was drawn from."""

    verdict: CaseVerdict
    recorded: Recorded


def judge(folder: Path) -> list[Judged]:
    """Every case of a run, judged by its history alone. Raises LabError when the history cannot be read."""
    history = folder / "history.jsonl"
    parts = load(history) if history.exists() else {}
    recorded = {part: Recorded(records) for part, records in parts.items()}
    return [Judged(judge_case(part, found), found) for part, found in recorded.items()]


def judge_case(part: Part, recorded: Recorded) -> CaseVerdict:
    """The verdict on one case: its checks', merged, and *unknown* at best when it broke off or was killed.

    In a lab that was not steady nothing that follows means anything: then the checks of the steady state decide alone.
    """
    case = CASES.get(part.case)
    first, last = recorded.records.first, recorded.records.last
    duration = last.r - first.r if first and last else 0.0
    if case is None:
        verdict = Verdict("case", Outcome.UNKNOWN, "nothing", "", "this program knows no such case")
        return CaseVerdict(part.case, part.case, Outcome.UNKNOWN, (verdict,), "", duration, part.round)
    verdicts = judge_all(case.checks, recorded)
    before = [v for c, v in zip(case.checks, verdicts, strict=True) if c.precondition]
    unsteady = [v for v in before if v.outcome is not Outcome.PASS]
    why = _broken_off(recorded)
    if not recorded.begun:
        verdicts = tuple(_nothing_done(v, recorded, before, why) for v in verdicts)
    if why:
        verdicts = (Verdict("case", Outcome.UNKNOWN, "broken off", "", why), *verdicts)
    outcome = merge(verdict.outcome for verdict in unsteady or verdicts)
    headline = "" if unsteady else case.headline
    return CaseVerdict(part.case, case.title, outcome, verdicts, headline, duration, part.round)


def _nothing_done(verdict: Verdict, recorded: Recorded, before: Sequence[Verdict], broken_off: str) -> Verdict:
    """A verdict on a case that did nothing: what it could not tell has the same reason as that."""
    looked = recorded.phase("steady") is not None
    if verdict.outcome is not Outcome.UNKNOWN or (looked and verdict in before):
        return verdict
    worst = max(before, key=lambda v: WEIGHT[v.outcome], default=None) if looked else None
    why = worst.reason if worst is not None and worst.outcome is not Outcome.PASS else broken_off
    return replace(verdict, reason=f"nothing was done: {why}") if why else verdict


def _broken_off(recorded: Recorded) -> str:
    """Why the case did not come to its end, "" when it did."""
    if broken := recorded.of(BrokenOff):
        return broken[0].text.splitlines()[0]
    return "" if recorded.phase("end") is not None else "it was killed before its end"
