"""What a case may do on the running lab, and how it waits: on what the probes tell, never on time alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from lab.errors import LabError
from lab.verify import programs
from lab.verify.checks.cluster import POD_RUNS, host_of
from lab.verify.history import History, Record
from lab.verify.probes import Probes
from lab.verify.view import LabView

#: Where the apiservers write their audit logs, haproxy its socket, and what its backend is called.
AUDIT = "/var/log/kubernetes/audit"
SOCKET = "/run/haproxy/admin.sock"
BACKEND = "apiservers"


def holding_now(records: list[Record], masters: int) -> set[str]:
    """Who of so many masters said last that it holds the VIP."""
    last: dict[str, bool] = {}
    for record in reversed(records):
        if record["kind"] == "holder":
            last.setdefault(record["source"], bool(record["holds"]))
            if len(last) == masters:
                break
    return {node for node, holds in last.items() if holds}


@dataclass
class Stage:
    """One case's running."""

    view: LabView
    history: History
    probes: Probes
    tell: Callable[[str], None]
    case: str

    @property
    def endpoint(self) -> str:
        """Where the cluster's API is to be reached: the VIP."""
        return f"{self.view.topology.vip}:{self.view.topology.port}"

    @property
    def best(self) -> str:
        """The best master by priority."""
        return self.view.ranking[0].name

    @property
    def holder(self) -> str:
        """The master that holds the VIP in the steady state: the best, or whoever has it where nobody preempts."""
        if self.view.topology.definition.keepalived.preempt:
            return self.best
        return next(iter(self.holders(self.history.records())), self.best)

    def holders(self, records: list[Record]) -> set[str]:
        """Who holds the VIP, by all masters' last words."""
        return holding_now(records, len(self.view.ranking))

    def next_best(self, broken: str) -> str:
        """The best master besides one."""
        return next((n.name for n in self.view.ranking if n.name != broken), broken)

    def operator(self, broken: str = "") -> str:
        """The master from which requests are made: the least of those that no fault is done to."""
        return next((n.name for n in reversed(self.view.ranking) if n.name != broken), self.best)

    def phase(self, name: str, t: float | None = None) -> None:
        """Record that a phase begins."""
        self.history.add("phase", t=t, name=name)

    def watch(self, seconds: float) -> None:
        """Let the probes record for so many seconds more, by what they record; bounded should they be silent.

        While the client is probing its own words count: who holds the VIP tells nothing of what a client meets with.
        """
        moment, kind = time.time() + seconds, "probe" if self.probes.connecting else "holder"

        def reached(records: list[Record]) -> bool:
            last = records[-1]
            return last["kind"] == kind and bool(last["r"] >= moment)

        self.history.wait(reached, 2 * seconds + 2)

    def close(self) -> None:
        """End what is judged now, and go on recording until what the client began before has its answer, or none."""
        now = time.time()
        if self.probes.connecting:
            self.watch(self.view.pace.patience)
        self.phase("end", t=now)

    @property
    def closed(self) -> bool:
        """Has the case come to its end?"""
        return any(record["kind"] == "phase" and record["name"] == "end" for record in self.history.records())

    def wait_holder(self, node: str, seconds: float, *, silent: str = "") -> bool:
        """Wait until one master alone holds the VIP, by all masters' last words but that of a ``silent`` one."""
        return self.history.wait(lambda records: self.holders(records) - {silent} == {node}, seconds)

    def api(self, node: str, agent: str, *words: object, timeout: float = 30.0) -> None:
        """Let a master be a client of the API through the VIP; what it says goes into the history."""
        args = [self.endpoint, programs.KUBECONFIG, agent, *words]
        programs.run(self.view.machines[node], "api", args, self.history, timeout=timeout).check()

    def run_pod(self, name: str, broken: str) -> None:
        """Have a pod created through the VIP and follow it until it runs, or for as long as it is given."""
        self.history.add("pod-asked", pod=name)
        self.tell(f"creating pod {name} through the VIP")
        try:
            self.api(self.operator(broken), "halab-pod", "pod", name, POD_RUNS + 1, timeout=POD_RUNS + 15)
        except LabError as error:
            self.history.add("note", text=error.message)

    def audits(self, agent: str) -> int:
        """Record what each apiserver's audit log tells of one user agent; returns the sum."""
        before = len(self.history.records())
        for node in self.view.topology.masters:
            programs.run(self.view.machines[node.name], "counters", ["audit", AUDIT, agent], self.history).check()
        return sum(int(r["count"]) for r in self.history.records()[before:] if r["kind"] == "audit")

    def sessions(self, when: str) -> None:
        """Record the sessions of each server, as counted by the haproxy of whoever holds the VIP."""
        holders = self.holders(self.history.records())
        if len(holders) != 1:
            raise LabError(f"{len(holders)} masters hold the VIP: whose haproxy is asked is not clear")
        node = holders.pop()
        result = programs.run(self.view.machines[node], "counters", ["sessions", SOCKET, BACKEND]).check()
        self.history.hear(node, result.stdout.strip().replace("{", f'{{"when": "{when}", ', 1))

    def leader(self, lease: str, seconds: float) -> str:
        """The host that holds a lease now. Raises LabError when the probe names none in time."""

        def now(records: list[Record]) -> str:
            return next((host_of(str(r["holder"])) for r in reversed(records) if r["kind"] == "lease"), "")

        if not self.history.wait(lambda records: bool(now(records)), seconds):
            raise LabError(f"nobody told within {seconds:.0f} s who holds the lease {lease}", "is the cluster healthy?")
        return now(self.history.records())
