"""What was found: three-valued, because a tool that could not tell must not say that all is well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from lab.errors import ExitStatus
from lab.verify.records import Part


class Outcome(StrEnum):
    """Pass, fail, or the tool could not tell."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"

    @property
    def status(self) -> ExitStatus:
        """The exit status that a command ends with."""
        return {
            Outcome.PASS: ExitStatus.GOOD,
            Outcome.FAIL: ExitStatus.FAIL,
            Outcome.UNKNOWN: ExitStatus.UNKNOWN,
        }[self]


#: Which outcome wins when several are merged: what was seen to be broken outweighs what was not seen.
WEIGHT = {Outcome.PASS: 0, Outcome.UNKNOWN: 1, Outcome.FAIL: 2}


def merge(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome of several together: fail > unknown > pass. Nothing at all proves nothing: unknown."""
    return max(outcomes, key=WEIGHT.__getitem__, default=Outcome.UNKNOWN)


@dataclass(frozen=True)
class Verdict:
    """One check's result: what was measured, what was promised, and why that means what it means.

    ``values`` are the figures themselves for tables and plots; those that end in "_s" are seconds.
    """

    check: str
    outcome: Outcome
    measured: str
    promised: str
    reason: str
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CaseVerdict:
    """One case's result: its checks', merged. ``headline`` names the check whose figures stand for the case.

    ``round`` counts from 1 where a run has the case several times, else it is 0.
    """

    case: str
    title: str
    outcome: Outcome
    verdicts: tuple[Verdict, ...]
    headline: str = ""
    duration: float = 0.0
    round: int = 0

    @property
    def name(self) -> str:
        """The case's name, with its round where there are several."""
        return str(Part(self.case, self.round))

    @property
    def leading(self) -> Verdict | None:
        """The check to show in one line: the worst; among equals the case's headline, then the first."""
        if not self.verdicts:
            return None
        worst = [v for v in self.verdicts if v.outcome is self.outcome] or list(self.verdicts)
        return next((verdict for verdict in worst if verdict.check == self.headline), worst[0])

    @property
    def measured(self) -> str:
        """What was measured, in one line."""
        return self.leading.measured if self.leading else "nothing"

    @property
    def promised(self) -> str:
        """What was promised, in one line."""
        return self.leading.promised if self.leading else ""

    @property
    def reason(self) -> str:
        """Why, in one line."""
        return self.leading.reason if self.leading else "nothing was judged"


def as_data(cases: Iterable[CaseVerdict]) -> dict[str, object]:
    """The verdicts as plain data, for verdict.json."""
    listed = list(cases)
    return {
        "outcome": str(merge(case.outcome for case in listed)),
        "cases": [{**asdict(case), "measured": case.measured, "promised": case.promised} for case in listed],
    }
