"""How long a fault on the VIP's holder is felt: several settings of the load balancer in turn on one running lab."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from lab.bench.figures import Spread, collect
from lab.cluster.observation import Observation, insist
from lab.command import LineSink
from lab.context import Lab, allocations
from lab.definition import Definition, DefinitionError, Severity, check
from lab.definition.defaults import priorities
from lab.faults.kind import Situation
from lab.faults.kinds import kind_of
from lab.faults.ledger import still_open
from lab.interrupts import held, unbroken
from lab.model.functions import Function
from lab.oracle.failover import shown
from lab.provisioning import Work, balance, rendered
from lab.provisioning.admission import refuse_silent
from lab.timeline import Timeline
from lab.topology import Topology, derive
from lab.verify.cases import named, refuse_endless
from lab.verify.pace import pace_of
from lab.verify.runner import new_folder
from lab.verify.runner import run as run_cases
from lab.verify.view import LabView
from lab.verify.watch import watching
from lab.waiting import wait_for

#: What is compared: the three ways in which a haproxy can be gone.
FAULTS = ("haproxy-stop", "haproxy-kill", "haproxy-crash")

#: Seconds until the best master holds the VIP under new settings: the slowest definition checks every three seconds.
SETTLE_SECONDS = 90.0


@dataclass(frozen=True)
class Row:
    """One fault under one definition's settings. ``spread`` is None when no round could tell."""

    settings: str
    fault: str
    promised: str
    spread: Spread | None
    verdicts: tuple[str, ...]


@dataclass(frozen=True)
class FailoverBench:
    """``settings`` are the definitions whose ``keepalived`` and ``haproxy`` (and priorities) are compared."""

    lab: Lab
    settings: Sequence[Definition]
    timeline: Timeline
    sink: LineSink

    def run(self, rounds: int) -> Generator[Row]:
        """A row a setting and fault, each as it is done; the lab has its own settings at the end, whatever happened.

        Raises, before anything is changed, DefinitionError for settings that do not fit the lab, UsageError for
        ones whose faults verify cannot measure and LabError for a master that does not answer.
        """
        own, driver = self.lab.definition, self.lab.site.driver
        given = allocations(own, self.lab.state)
        compared = [(settings.name, derive(borrowed(own, settings), driver, given)) for settings in self.settings]
        for _, topology in compared:
            refuse_endless(named(FAULTS), self._view(topology))
        self._seen()
        with held(lambda: still_open(self.lab.state)):
            try:
                for name, topology in compared:
                    yield from self._under(name, topology, rounds)
            finally:
                if self.lab.state.borrowed:
                    with unbroken(), self.timeline.phase("own settings again"):
                        self._apply(self.lab.topology)
                        self.lab.state.return_settings()

    def _under(self, name: str, topology: Topology, rounds: int) -> Generator[Row]:
        with self.timeline.phase(f"settings of {name}"):
            self.lab.state.borrow_settings(name)
            self._apply(topology)
        view = self._view(topology)
        for fault in FAULTS:
            with self.timeline.phase(f"{name}: {fault}"):
                done = run_cases(named([fault]), view, self.sink, new_folder(view, "bench-round"), rounds=rounds)
            seen = [check.values for case in done.cases for check in case.verdicts if "outage_s" in check.values]
            spread = collect({"outage": values["outage_s"]} for values in seen).get("outage")
            promise = kind_of(fault).promise
            promised = shown(promise(Situation(topology, self.lab.kubernetes)).outage) if promise else ""
            yield Row(name, fault, promised, spread, tuple(str(case.outcome) for case in done.cases))

    def _view(self, topology: Topology) -> LabView:
        lab, pace = self.lab, pace_of(self.lab.site.driver)
        return LabView(topology, lab.machines, lab.provider, lab.state, lab.kubernetes, pace)

    def _seen(self) -> dict[str, Observation]:
        """What the machines say, the masters' load balancers among it. Raises LabError where a master says nothing."""
        _, seen = self.lab.observe()
        seen = insist(self.lab.topology, self.lab.machines, seen)
        refuse_silent(self.lab.topology.load_balancers, seen)
        return seen

    def _apply(self, topology: Topology) -> None:
        """Give the masters these settings, then wait until the best one holds the VIP."""
        work = Work(self.lab.machines, rendered(topology, self.lab.site), self.timeline, self._seen())
        with unbroken():  # a step that was cut off might run on beside its next
            balance(topology, work, lambda planned: watching(self._view(topology), planned, self.timeline.line))
        best = topology.ranked[0].name
        wait_for(
            f"{best} to hold the virtual IP alone",
            lambda: self.lab.status().holders,
            lambda holders: holders == (best,),
            seconds=SETTLE_SECONDS,
            interval=1.0,
        )


def borrowed(own: Definition, settings: Definition) -> Definition:
    """``own`` with another definition's load balancer; priorities too, where both have as many masters. Pure.

    Raises DefinitionError when that breaks a rule, such as weights that do not fit priorities.
    """
    theirs = [priority for priority in priorities(settings) if priority is not None]
    mine = [node for node in own.nodes if Function.LOAD_BALANCER in node.functions]
    nodes = own.nodes
    if len(theirs) == len(mine):
        given = {node.name: priority for node, priority in zip(mine, theirs, strict=True)}
        nodes = tuple(
            node.model_copy(update={"priority": given[node.name]}) if node.name in given else node for node in own.nodes
        )
    both = own.model_copy(update={"keepalived": settings.keepalived, "haproxy": settings.haproxy, "nodes": nodes})
    if mistakes := [problem for problem in check(both) if problem.severity is Severity.ERROR]:
        raise DefinitionError(f"the settings of {settings.name} on lab {own.name}", mistakes)
    return both
