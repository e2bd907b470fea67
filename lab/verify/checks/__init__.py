"""Checks: pure functions over a recorded case, one verdict each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lab.verify.recorded import Recorded
from lab.verify.verdict import Outcome, Verdict


@dataclass(frozen=True)
class Check:
    """A question to the record. ``judge`` answers it; whatever it raises is an *unknown*, never a fail.

    A ``precondition`` is about the steady state: without it nothing that follows means anything.
    """

    name: str
    judge: Callable[[Recorded], Verdict]
    precondition: bool = False

    def __call__(self, recorded: Recorded) -> Verdict:
        """The verdict on one recorded case."""
        try:
            return self.judge(recorded)
        except Exception as error:  # noqa: BLE001 - a checker that throws could not tell: that is its verdict
            said = f"{type(error).__name__}: {error}"
            return Verdict(self.name, Outcome.UNKNOWN, "nothing", "", f"the check itself failed: {said}")


def judge_all(checks: Iterable[Check], recorded: Recorded) -> tuple[Verdict, ...]:
    """Every check's verdict."""
    return tuple(check(recorded) for check in checks)


def unknown(check: str, reason: str, promised: str = "") -> Verdict:
    """The record does not tell."""
    return Verdict(check, Outcome.UNKNOWN, "not told", promised, reason)


def shown(seconds: float) -> str:
    """A duration as a person reads it: milliseconds below a second."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
