"""Running cases against a lab: one run folder, in which the history lies before the verdicts are drawn from it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.command import LineSink
from lab.errors import LabError
from lab.interrupts import held, unbroken
from lab.verify.cases.case import Case
from lab.verify.history import History
from lab.verify.judge import judge
from lab.verify.ledger import Ledger, heal_open
from lab.verify.oracle import promise
from lab.verify.probes import Probes
from lab.verify.recorded import Recorded
from lab.verify.stage import Stage
from lab.verify.verdict import CaseVerdict, Outcome, as_data, merge
from lab.verify.view import LabView

#: Seconds of steady state that must be seen before a fault, and seconds that the lab is given to show them.
STEADY = 2.0
SETTLE = 60.0


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    cases: tuple[CaseVerdict, ...]

    @property
    def outcome(self) -> Outcome:
        """All cases' outcomes merged."""
        return merge(case.outcome for case in self.cases)


def new_folder(view: LabView, kind: str) -> Path:
    """A new run folder, .lab/NAME/runs/TIME-KIND/."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for number in range(1, 1000):
        folder = view.state / "runs" / (f"{stamp}-{kind}" if number == 1 else f"{stamp}.{number}-{kind}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise LabError(f"no free name for a run folder in {view.state / 'runs'}", "look what fills it")


def run(
    cases: Sequence[Case],
    view: LabView,
    sink: LineSink,
    folder: Path,
    *,
    rounds: int = 1,
    doubt: Callable[[], str] = lambda: "",
) -> Run:
    """Run the cases one after another (all of them ``rounds`` times), record into ``folder`` and judge that.

    ``doubt`` says why nothing can be promised of this lab ("" when it can): no case is run then, all are *unknown*.
    Faults that an earlier command left open are healed first. A case that breaks off is judged by what it recorded, and
    is *unknown* at best; a fault that could not be healed ends the run. Raises what heal_open raises; an interrupt goes
    on after everything was healed and verdict.json written.
    """
    heal_open(view, sink)
    reason = doubt()
    try:
        with History(folder / "history.jsonl") as history:
            for name, case in numbered([*cases] * rounds):
                sink(f"case {name}: {case.title}")
                if not _run_case(case, name, view, history, sink, reason):
                    break
    finally:
        found = judge(folder)
        store(folder, found)
    return Run(folder, tuple(found))


def numbered(cases: Sequence[Case]) -> list[tuple[str, Case]]:
    """Each case with the name of its part of the history: a case that comes several times has its rounds numbered."""
    often, met = Counter(case.name for case in cases), Counter[str]()
    parts = []
    for case in cases:
        met[case.name] += 1
        parts.append((f"{case.name}#{met[case.name]}" if often[case.name] > 1 else case.name, case))
    return parts


def store(folder: Path, cases: Sequence[CaseVerdict]) -> None:
    """Write verdict.json."""
    new = folder / "verdict.json.new"
    new.write_text(json.dumps(as_data(cases), indent=1) + "\n", encoding="utf-8")
    new.replace(folder / "verdict.json")


def _run_case(case: Case, name: str, view: LabView, history: History, sink: LineSink, doubt: str) -> bool:
    """Run one case and record it; False when the lab is not as it was, and nothing more can be learnt."""
    history.begin(name)
    promised = promise(view.topology, case.fault, kubernetes=view.kubernetes)
    history.add(
        "header",
        name=case.name,
        ranking=[node.name for node in view.ranking],
        workers=[node.name for node in view.topology.workers],
        vip=str(view.topology.vip),
        port=view.topology.port,
        priorities={node.name: node.priority for node in view.ranking},
        preempt=view.topology.definition.keepalived.preempt,
        pace=asdict(view.pace),
        promise=asdict(promised),
    )
    probes = Probes(view, history)
    stage = Stage(view, history, probes, sink, name)
    with held(Ledger.of(view).still_open):
        try:
            _conduct(case, stage, doubt)
        except LabError as error:
            history.add("broken-off", text=str(error))
            sink(f"case {name} broke off: {error.message}")
        except KeyboardInterrupt:
            history.add("broken-off", text="it was interrupted")
            raise
        finally:
            with unbroken():
                try:
                    if not stage.closed:
                        stage.phase("end")
                finally:
                    probes.stop()
    if Ledger.of(view).entries():
        sink("what this case did could not be undone: the run ends here, the next command tries again")
        return False
    return True


def _conduct(case: Case, stage: Stage, doubt: str) -> None:
    """Start the probes, wait for the steady state, run the case in it."""
    if reason := doubt or _cannot(case, stage.view):
        raise LabError(reason)
    stage.probes.clocks()
    stage.probes.start()
    if case.lease:
        stage.probes.watch_lease(stage.operator(), case.lease)
    if _steady(stage, case):
        case.run(stage)
    stage.probes.check()
    stage.close()


def _cannot(case: Case, view: LabView) -> str:
    """Why a case cannot be run on this lab; "" when it can."""
    if case.kubernetes and not view.kubernetes:
        return "it needs a cluster, and this lab has none yet: ./inv up"
    if missing := case.needs - view.provider.capabilities:
        return f"provider {view.provider.name} cannot {', '.join(sorted(missing))}"
    if len(view.ranking) < case.masters:
        return f"it needs {case.masters} masters, and this lab has {len(view.ranking)}: nobody could take over"
    return ""


def _steady(stage: Stage, case: Case) -> bool:
    """Wait until the lab was steady for STEADY seconds, and record that phase; without it no fault is made."""
    deadline, told = time.monotonic() + SETTLE, ""
    watched = {node.name for node in stage.view.ranking}
    stage.history.wait(lambda records: watched <= {r["source"] for r in records if r["kind"] == "holder"}, SETTLE)
    while True:
        since = time.time()
        stage.watch(STEADY)
        until = since + STEADY  # not now: what was just begun is not recorded yet, and would be missed
        records = [*stage.history.records(), {"kind": "phase", "name": "steady", "t": since, "source": "lab"}]
        look = Recorded([*records, {"kind": "phase", "name": "end", "t": until, "source": "lab"}])
        found = [check(look) for check in case.checks if check.precondition]
        doubts = [verdict for verdict in found if verdict.outcome is not Outcome.PASS]
        if not doubts or time.monotonic() > deadline:
            stage.phase("steady", t=since)
            stage.phase("settled", t=until)
            break
        stage.probes.check()
        if doubts[0].reason.partition(":")[0] != told:
            told = doubts[0].reason.partition(":")[0]
            stage.tell(f"waiting for the steady state, {SETTLE:.0f} s at most: {doubts[0].reason}")
    for doubt in doubts:
        stage.history.add("note", text=f"no steady state within {SETTLE:.0f} s: {doubt.reason}")
    return not doubts
