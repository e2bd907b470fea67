"""Running cases against a lab: one run folder, in which the history lies before the verdicts are drawn from it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from lab.command import LineSink
from lab.errors import LabError
from lab.faults.kind import Situation
from lab.faults.kinds import kind_of
from lab.faults.ledger import Ledger, heal_open
from lab.host import files
from lab.interrupts import held, unbroken
from lab.verify.case import Case
from lab.verify.history import History, Records
from lab.verify.judge import Judged, judge
from lab.verify.probes import Probes
from lab.verify.promised import NOTHING, Promised
from lab.verify.recorded import Recorded
from lab.verify.records import BrokenOff, Header, Note, Part, Phase
from lab.verify.stage import Stage
from lab.verify.verdict import CaseVerdict, Outcome, as_data, merge
from lab.verify.view import LabView

#: Seconds of steady state that must be seen before a fault, and seconds that the lab is given to show them.
STEADY = 2.0
SETTLE = 60.0


@dataclass(frozen=True)
class Run:
    """A run that is over, judged once."""

    folder: Path
    judged: tuple[Judged, ...]

    @property
    def cases(self) -> tuple[CaseVerdict, ...]:
        """The verdicts."""
        return tuple(judged.verdict for judged in self.judged)

    @property
    def outcome(self) -> Outcome:
        """All cases' outcomes merged."""
        return merge(case.outcome for case in self.cases)


def new_folder(view: LabView, kind: str) -> Path:
    """A new run folder, .lab/NAME/runs/TIME-KIND/."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for number in range(1, 1000):
        folder = view.state.runs / (f"{stamp}-{kind}" if number == 1 else f"{stamp}.{number}-{kind}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise LabError(f"no free name for a run folder in {view.state.runs}", "look what fills it")


def run(
    cases: Sequence[Case],
    view: LabView,
    sink: LineSink,
    folder: Path,
    *,
    rounds: int = 1,
    doubt: Callable[[], str] = lambda: "",
    leave: Callable[[Run], object] = lambda run: None,
) -> Run:
    """Run the cases one after another (all of them ``rounds`` times), record into ``folder`` and judge that.

    ``doubt`` says why nothing can be promised of this lab ("" when it can): no case is run then, all are *unknown*.
    Faults that an earlier command left open are healed first. A case that breaks off is judged by what it recorded, and
    is *unknown* at best; a fault that could not be healed ends the run. What else than verdict.json lies in the folder
    in the end is written by ``leave``. Raises what heal_open raises; an interrupt goes on after everything was healed
    and written.
    """
    heal_open(view, sink)
    reason = doubt()
    try:
        with History(folder / "history.jsonl") as history:
            for part, case in numbered([*cases] * rounds):
                sink(f"case {part}: {case.title}")
                if not _run_case(case, part, view, history, sink, reason):
                    break
    finally:
        done = Run(folder, tuple(judge(folder)))
        store(done)
        leave(done)
    return done


def numbered(cases: Sequence[Case]) -> list[tuple[Part, Case]]:
    """Each case with its part of the history: a case that comes several times has its rounds numbered."""
    often, met = Counter(case.name for case in cases), Counter[str]()
    parts = []
    for case in cases:
        met[case.name] += 1
        parts.append((Part(case.name, met[case.name] if often[case.name] > 1 else 0), case))
    return parts


def store(run: Run) -> None:
    """Write verdict.json."""
    files.write(run.folder / "verdict.json", json.dumps(as_data(run.cases), indent=1) + "\n")


def _run_case(case: Case, part: Part, view: LabView, history: History, sink: LineSink, doubt: str) -> bool:
    """Run one case and record it; False when the lab is not as it was, and nothing more can be learnt."""
    promise = promised(case, view)
    history.begin(part)
    history.add(
        Header(
            name=case.name,
            ranking=tuple(node.name for node in view.ranking),
            workers=tuple(node.name for node in view.topology.workers),
            vip=str(view.topology.vip),
            port=view.topology.port,
            priorities={node.name: node.priority for node in view.ranking},
            preempt=view.topology.definition.keepalived.preempt,
            pace=view.pace,
            promise=promise,
        )
    )
    probes = Probes(view, history)
    stage = Stage(view, history, probes, sink, promise or NOTHING)
    with held(Ledger.of(view.state).still_open):
        try:
            _conduct(case, stage, doubt)
        except LabError as error:
            history.add(BrokenOff(text=str(error)))
            sink(f"case {part} broke off: {error.message}")
        except KeyboardInterrupt:
            history.add(BrokenOff(text="it was interrupted"))
            raise
        finally:
            with unbroken():
                try:
                    if not stage.closed:
                        stage.phase("end")
                finally:
                    probes.stop()
    if Ledger.of(view.state).entries():
        sink("what this case did could not be undone: the run ends here, the next command tries again")
        return False
    return True


def promised(case: Case, view: LabView) -> Promised | None:
    """What is promised of what a case does; None where nothing is."""
    if not case.faults:
        return NOTHING
    if len(case.faults) > 1:
        return None  # what each is promised alone says nothing of several at once
    (aimed,) = case.faults
    promise = kind_of(aimed.kind).promise
    return promise and Promised.of(promise(Situation(view.topology, view.kubernetes, aimed.parameters)))


def _conduct(case: Case, stage: Stage, doubt: str) -> None:
    """Start the probes, wait for the steady state, run the case in it."""
    if reason := doubt or case.lacks(stage.view):
        raise LabError(reason)
    stage.probes.clocks()
    for probe in case.probes:
        stage.probes.start(probe)
    if _steady(stage, case):
        _perform(case, stage)
    stage.probes.check()
    stage.close()


def _perform(case: Case, stage: Stage) -> None:
    """In the steady state: make the faults, do what is done meanwhile, heal them, do what is done afterwards."""
    stage.faults = [aimed.fault(stage) for aimed in case.faults]
    for fault in stage.faults:
        stage.tell(kind_of(fault.kind).told(fault))
    with ExitStack() as lasting:
        if stage.faults:
            stage.phase("fault")
        for fault in stage.faults:
            lasting.enter_context(stage.struck(fault))
        for act in case.meanwhile:
            act(stage)
        if stage.faults:
            stage.tell(f"healing {' and '.join(stage.victims)}")
            stage.phase("heal")
    silenced, stage.faults = stage.silenced, ()
    for node in silenced:
        stage.probes.again(node)
    for act in case.afterwards:
        act(stage)


def _steady(stage: Stage, case: Case) -> bool:
    """Wait until the lab was steady for STEADY seconds, and record that phase; without it no fault is made."""
    deadline, told = time.monotonic() + SETTLE, ""
    stage.history.wait(stage.all_told, SETTLE)
    while True:
        since = time.time()
        stage.watch(STEADY)
        until = since + STEADY  # not now: what was just begun is not recorded yet, and would be missed
        look = Recorded(stage.history.look(Records.copy), window=(since, until))
        found = [check(look) for check in case.checks if check.precondition]
        doubts = [verdict for verdict in found if verdict.outcome is not Outcome.PASS]
        if not doubts or time.monotonic() > deadline:
            stage.history.add(Phase(name="steady", t=since))
            stage.history.add(Phase(name="settled", t=until))
            break
        stage.probes.check()
        if doubts[0].reason.partition(":")[0] != told:
            told = doubts[0].reason.partition(":")[0]
            stage.tell(f"waiting for the steady state, {SETTLE:.0f} s at most: {doubts[0].reason}")
    for doubt in doubts:
        stage.history.add(Note(text=f"no steady state within {SETTLE:.0f} s: {doubt.reason}"))
    return not doubts
