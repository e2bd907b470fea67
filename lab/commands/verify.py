"""``./inv verify``."""

from __future__ import annotations

from collections.abc import Sequence

from lab import console
from lab.commands.changing import alone_with
from lab.context import Lab
from lab.drift import drift
from lab.errors import ExitStatus, LabError
from lab.report import write_report
from lab.stage import Stage
from lab.verify.cases import named, refuse_endless, usual
from lab.verify.pace import pace_of
from lab.verify.runner import new_folder
from lab.verify.runner import run as run_cases
from lab.verify.verdict import CaseVerdict, Outcome
from lab.verify.view import LabView

_STYLES = {Outcome.PASS: console.good, Outcome.FAIL: console.bad, Outcome.UNKNOWN: console.dim}


def view(lab: Lab) -> LabView:
    """The lab as the cases see it."""
    return LabView(lab.topology, lab.machines, lab.provider, lab.state.folder, lab.kubernetes, pace_of(lab.site.driver))


def doubt(lab: Lab) -> str:
    """Why nothing can be promised of a lab: it is not what its definition says; "" when it is."""
    found = drift(lab)
    if found and (other := lab.state.borrowed):
        found = f"an interrupted bench left the load balancer of {other}: {found}"
    return f"the lab is not what its definition says (./inv up mends that): {found}" if found else ""


def run(name: str, definition: str, cases: Sequence[str]) -> None:
    """Run the cases, show a row for each, leave a run folder; the merged verdict is the exit status."""
    with alone_with(name, definition) as lab:
        if lab.state.stage in (None, Stage.MACHINES):
            raise LabError(
                f"lab {lab.identity.name} has machines only: there is nothing to verify yet",
                "./inv up brings it further",
            )
        chosen = named(cases) if cases else usual(lab.kubernetes, lab.provider.capabilities, len(lab.topology.masters))
        if not chosen:
            raise LabError("there is no case for this lab")
        refuse_endless(chosen, lab.topology, cluster=lab.kubernetes)
        seen = view(lab)
        folder = new_folder(seen, "verify")
        try:
            done = run_cases(chosen, seen, console.say, folder, doubt=lambda: doubt(lab))
        finally:
            report = write_report(folder)
    console.say("")
    console.table(
        f"Lab {lab.identity.name}",
        ["case", "verdict", "measured", "promised", "because"],
        [_row(case) for case in done.cases],
    )
    console.say("")
    console.say(f"report: {report}")
    if done.outcome.status is not ExitStatus.GOOD:
        raise SystemExit(done.outcome.status)


def _row(case: CaseVerdict) -> list[console.Cell]:
    return [case.case, _STYLES[case.outcome](str(case.outcome)), case.measured, case.promised, case.reason]
