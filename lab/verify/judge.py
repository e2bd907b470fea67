"""Judging a run by its folder: pure but for reading it, so that an old run can be judged again by newer checks."""

from __future__ import annotations

from pathlib import Path

from lab.verify.cases import CASES
from lab.verify.checks import judge_all
from lab.verify.history import Record, load
from lab.verify.recorded import Recorded
from lab.verify.verdict import CaseVerdict, Outcome, Verdict, merge


def judge(folder: Path) -> list[CaseVerdict]:
    """The verdict on every case of a run, from its history alone. Raises LabError when the history cannot be read."""
    history = folder / "history.jsonl"
    if not history.exists():
        return []
    return [judge_case(name, records) for name, records in load(history).items()]


def judge_case(name: str, records: list[Record]) -> CaseVerdict:
    """The verdict on one case: its checks', merged, and *unknown* at best when it broke off or was killed."""
    recorded = Recorded(records)
    case = CASES.get(name.partition("#")[0])
    span = [float(r["r"]) for r in records if "r" in r]
    duration = max(span) - min(span) if span else 0.0
    if case is None:
        verdict = Verdict("case", Outcome.UNKNOWN, "nothing", "", "this program knows no such case")
        return CaseVerdict(name, name, Outcome.UNKNOWN, (verdict,), "", duration)
    verdicts = judge_all(case.checks, recorded)
    steady = all(v.outcome is Outcome.PASS for c, v in zip(case.checks, verdicts, strict=True) if c.precondition)
    if why := _broken_off(recorded):
        verdicts = (Verdict("case", Outcome.UNKNOWN, "broken off", "", why), *verdicts)
    outcome = merge(verdict.outcome for verdict in verdicts) if steady else Outcome.UNKNOWN
    return CaseVerdict(name, case.title, outcome, verdicts, case.headline, duration)


def _broken_off(recorded: Recorded) -> str:
    """Why the case did not come to its end, "" when it did."""
    if broken := recorded.of("broken-off"):
        return str(broken[0]["text"]).splitlines()[0]
    ended = any(record["name"] == "end" for record in recorded.of("phase"))
    return "" if ended else "it was killed before its end"
