"""``./inv verify``."""

from __future__ import annotations

from collections.abc import Sequence

from lab import console
from lab.errors import ExitStatus, LabError
from lab.operations.changing import alone_with
from lab.operations.verification import doubt, view
from lab.report import write_report
from lab.stage import Stage
from lab.verify.cases import named, refuse_endless, usual
from lab.verify.runner import new_folder
from lab.verify.runner import run as run_cases
from lab.verify.verdict import CaseVerdict, Outcome

_STYLES = {Outcome.PASS: console.good, Outcome.FAIL: console.bad, Outcome.UNKNOWN: console.dim}


def run(name: str, definition: str, cases: Sequence[str]) -> None:
    """Run the cases, show a row for each, leave a run folder; the merged verdict is the exit status."""
    with alone_with(name, definition, console.warn) as lab:
        if lab.state.stage in (None, Stage.MACHINES):
            raise LabError(
                f"lab {lab.identity.name} has machines only: there is nothing to verify yet",
                "./inv up brings it further",
            )
        seen = view(lab)
        chosen = named(cases) if cases else usual(seen)
        if not chosen:
            raise LabError("there is no case for this lab")
        refuse_endless(chosen, seen)
        folder = new_folder(seen, "verify")
        done = run_cases(
            chosen,
            seen,
            console.say,
            folder,
            doubt=lambda: doubt(lab),
            leave=lambda run: write_report(run.folder, run.judged),
        )
    console.say("")
    console.table(
        f"Lab {lab.identity.name}",
        ["case", "verdict", "measured", "promised", "because"],
        [_row(case) for case in done.cases],
    )
    console.say("")
    console.say(f"report: {done.folder / 'report.html'}")
    if done.outcome.status is not ExitStatus.GOOD:
        raise SystemExit(done.outcome.status)


def _row(case: CaseVerdict) -> list[console.Cell]:
    return [case.name, _STYLES[case.outcome](str(case.outcome)), case.measured, case.promised, case.reason]
