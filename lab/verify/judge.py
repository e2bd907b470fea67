"""Judging a run by its folder: pure but for reading it, so that an old run can be judged again by newer checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lab.verify.cases import CASES
from lab.verify.checks import judge_all
from lab.verify.history import Record, load
from lab.verify.recorded import Recorded
from lab.verify.verdict import WEIGHT, CaseVerdict, Outcome, Verdict, merge


def judge(folder: Path) -> list[CaseVerdict]:
    """The verdict on every case of a run, from its history alone. Raises LabError when the history cannot be read."""
    history = folder / "history.jsonl"
    if not history.exists():
        return []
    return [judge_case(name, records) for name, records in load(history).items()]


def judge_case(name: str, records: list[Record]) -> CaseVerdict:
    """The verdict on one case: its checks', merged, and *unknown* at best when it broke off or was killed.

    In a lab that was not steady nothing that follows means anything: then the checks of the steady state decide alone.
    """
    recorded = Recorded(records)
    case = CASES.get(name.partition("#")[0])
    span = [float(r["r"]) for r in records if "r" in r]
    duration = max(span) - min(span) if span else 0.0
    if case is None:
        verdict = Verdict("case", Outcome.UNKNOWN, "nothing", "", "this program knows no such case")
        return CaseVerdict(name, name, Outcome.UNKNOWN, (verdict,), "", duration)
    verdicts = judge_all(case.checks, recorded)
    before = [v for c, v in zip(case.checks, verdicts, strict=True) if c.precondition]
    unsteady = [v for v in before if v.outcome is not Outcome.PASS]
    why = _broken_off(recorded)
    if not recorded.begun:
        verdicts = tuple(_nothing_done(v, recorded, before, why) for v in verdicts)
    if why:
        verdicts = (Verdict("case", Outcome.UNKNOWN, "broken off", "", why), *verdicts)
    outcome = merge(verdict.outcome for verdict in unsteady or verdicts)
    return CaseVerdict(name, case.title, outcome, verdicts, "" if unsteady else case.headline, duration)


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
    if broken := recorded.of("broken-off"):
        return str(broken[0]["text"]).splitlines()[0]
    ended = any(record["name"] == "end" for record in recorded.of("phase"))
    return "" if ended else "it was killed before its end"
