"""What a case may do on the running lab, and how it waits: on what the probes tell, never on time alone."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from lab.errors import LabError
from lab.faults.kinds import kind_of
from lab.faults.ledger import Step, applied
from lab.faults.litter import TEST_PODS
from lab.faults.spec import Fault
from lab.machines import programs
from lab.verify.checks.cluster import POD_RUNS
from lab.verify.history import History, Records
from lab.verify.probes import Probes
from lab.verify.promised import NOTHING, Promised
from lab.verify.records import (
    Audit,
    FaultStep,
    Holder,
    Lease,
    Note,
    Phase,
    PodAsked,
    Probe,
    Sessions,
    heard,
)
from lab.verify.view import LabView

#: Where the apiservers write their audit logs, haproxy its socket, and what its backend is called.
AUDIT = "/var/log/kubernetes/audit"
SOCKET = "/run/haproxy/admin.sock"
BACKEND = "apiservers"


def holding_now(records: Records) -> set[str]:
    """Which masters said last that they hold the VIP."""
    return {node for node, look in records.latest(Holder).items() if look.holds}


@dataclass
class Stage:
    """One case's running."""

    view: LabView
    history: History
    probes: Probes
    tell: Callable[[str], None]
    promised: Promised = NOTHING
    faults: Sequence[Fault] = ()

    @property
    def victims(self) -> tuple[str, ...]:
        """The machines that something is done to."""
        return tuple(dict.fromkeys(node for fault in self.faults for node in fault.targets))

    @property
    def silenced(self) -> tuple[str, ...]:
        """Those of them that say nothing meanwhile."""
        return tuple(node for fault in self.faults if kind_of(fault.kind).silences for node in fault.targets)

    @property
    def operator(self) -> str:
        """The master from which requests are made."""
        return self.view.operator(*self.victims)

    @property
    def best(self) -> str:
        """The best master by priority."""
        return self.view.ranking[0].name

    @property
    def holder(self) -> str:
        """The master that holds the VIP in the steady state: the best, or whoever has it where nobody preempts."""
        if self.view.topology.definition.keepalived.preempt:
            return self.best
        return next(iter(self.history.look(holding_now)), self.best)

    @property
    def heir(self) -> str:
        """The best master that nothing is done to."""
        return next((node.name for node in self.view.ranking if node.name not in self.victims), self.best)

    @contextmanager
    def struck(self, fault: Fault) -> Iterator[None]:
        """The fault lasts as long as the with-block; each of its steps is recorded."""
        silences = kind_of(fault.kind).silences

        def tell(step: Step) -> None:
            record = FaultStep(event=step.event, id=step.id, fault=fault, silences=silences)
            if step.moment is not None:
                record = record.model_copy(update={"source": step.node, "t": step.moment})
            self.history.add(record)

        with applied(fault, self.view, tell):
            yield

    def pods(self) -> AbstractContextManager[None]:
        """What is created inside the with-block by provision/probe/api.py is deleted at its end."""
        return applied(Fault(TEST_PODS, (self.operator,)), self.view)

    def tag(self) -> str:
        """A short name for what is made now, unlike any before."""
        return uuid.uuid4().hex[:8]

    def all_told(self, records: Records) -> bool:
        """Has every master said whether it holds the VIP?"""
        return all(node.name in records.latest(Holder) for node in self.view.ranking)

    def phase(self, name: str) -> None:
        """Record that a phase begins."""
        self.history.add(Phase(name=name))

    def watch(self, seconds: float) -> None:
        """Let the probes record for so many seconds more, by what they record; bounded should they be silent.

        While the client is probing its own words count: who holds the VIP tells nothing of what a client meets with.
        """
        moment, kind = time.time() + seconds, Probe if self.probes.connecting else Holder

        def reached(records: Records) -> bool:
            return isinstance(records.last, kind) and records.last.r >= moment

        self.history.wait(reached, 2 * seconds + 2)

    def close(self) -> None:
        """End what is judged now, and go on recording until what the client began before has its answer, or none."""
        now = time.time()
        if self.probes.connecting:
            self.watch(self.view.pace.patience)
        self.history.add(Phase(name="end", t=now))

    @property
    def closed(self) -> bool:
        """Has the case come to its end?"""
        return self.history.look(lambda records: any(phase.name == "end" for phase in records.of(Phase)))

    def wait_holder(self, node: str, seconds: float) -> bool:
        """Wait until one master alone holds the VIP, by the last words of all that are not silenced."""
        silenced = set(self.silenced)
        return self.history.wait(lambda records: holding_now(records) - silenced == {node}, seconds)

    def api(self, agent: str, *words: object, timeout: float = 30.0) -> None:
        """Let a master be a client of the API through the VIP; what it says goes into the history."""
        args = [self.view.endpoint, programs.KUBECONFIG, agent, *words]
        self._run(self.operator, "api", args, timeout=timeout)

    def _run(self, node: str, program: str, args: list[object], timeout: float = 60.0) -> None:
        """Run a program to its end on a machine; what it says goes into the history."""
        machine = self.view.machines[node]
        programs.run(machine, program, args, lambda line: self.history.hear(node, line), timeout=timeout).check()

    def run_pod(self, name: str) -> None:
        """Have a pod created through the VIP and follow it until it runs, or for as long as it is given."""
        self.history.add(PodAsked(pod=name))
        self.tell(f"creating pod {name} through the VIP")
        try:
            self.api("halab-pod", "pod", name, POD_RUNS + 1, timeout=POD_RUNS + 15)
        except LabError as error:
            self.history.add(Note(text=error.message))

    def audits(self, agent: str) -> int:
        """Record what each apiserver's audit log tells of one user agent; returns the sum."""
        for node in self.view.topology.control_planes:
            self._run(node.name, "counters", ["audit", AUDIT, agent])
        return self.history.look(lambda records: sum(audit.count for audit in records.latest(Audit).values()))

    def sessions(self, when: str) -> None:
        """Record the sessions of each server, as counted by the haproxy of whoever holds the VIP."""
        holders = self.history.look(holding_now)
        if len(holders) != 1:
            raise LabError(f"{len(holders)} masters hold the VIP: whose haproxy is asked is not clear")
        node = holders.pop()
        result = programs.run(self.view.machines[node], "counters", ["sessions", SOCKET, BACKEND]).check()
        told = heard(node, result.stdout.strip())
        self.history.add(told.model_copy(update={"when": when}) if isinstance(told, Sessions) else told)

    def leader(self, lease: str, seconds: float) -> str:
        """The host that holds a lease now. Raises LabError when the probe names none in time."""

        def now(records: Records) -> str:
            return records.of(Lease)[-1].host if records.of(Lease) else ""

        if not self.history.wait(lambda records: bool(now(records)), seconds):
            raise LabError(f"nobody told within {seconds:.0f} s who holds the lease {lease}", "is the cluster healthy?")
        return self.history.look(now)
