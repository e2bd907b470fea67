"""Something breaks on the machine that holds the VIP; with a cluster behind it, a pod is created meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from lab.verify.cases.case import Case
from lab.verify.checks.client import RECOVERED, STEADY_CLIENT
from lab.verify.checks.cluster import POD_RAN
from lab.verify.checks.moves import CAME_BACK, MOVED
from lab.verify.checks.outages import FAILBACK, LOSSES, OUTAGE
from lab.verify.checks.vip import HOLDERS, STEADY_HOLDER
from lab.verify.faults import make
from lab.verify.ledger import applied, pods
from lab.verify.oracle import promise
from lab.verify.stage import Stage

#: Seconds that are waited for the VIP, beyond what is promised: a late one is then seen to be late, not lost.
PATIENCE = 10.0

#: Seconds of connections recorded once the VIP is where it belongs: "all succeed again" must be seen, not assumed.
SETTLED = 3.0

#: What is judged of every fault on the holder.
VIP_CHECKS = (STEADY_CLIENT, STEADY_HOLDER, OUTAGE, FAILBACK, LOSSES, HOLDERS, MOVED, CAME_BACK, RECOVERED)


def break_holder(fault_name: str, *, pod: bool) -> Callable[[Stage], None]:
    """A case's run: the fault on the VIP's holder, a pod meanwhile, the heal, and the VIP's way back."""

    def run(stage: Stage) -> None:
        victim = stage.holder
        fault = make(fault_name, victim)
        promised = promise(stage.view.topology, fault_name, kubernetes=stage.view.kubernetes)
        stage.tell(f"{fault_name} on {victim}")
        stage.phase("fault")
        with applied(fault, stage.view, stage.history):
            if promised.moves and not promised.transient:
                silent = victim if fault.silences else ""
                stage.wait_holder(stage.next_best(victim), (promised.maximum or 0.0) + PATIENCE, silent=silent)
            stage.watch(SETTLED + (promised.maximum or 0.0))
            if pod:
                with pods(stage.view, stage.operator(victim)):
                    stage.run_pod(f"verify-{stage.history.tag()}", victim)
            stage.tell(f"healing {victim}")
            stage.phase("heal")
        if fault.silences:
            stage.probes.watch_holder(victim)
            stage.probes.clocks(victim)
        if stage.view.topology.definition.keepalived.preempt:
            stage.wait_holder(stage.best, (promised.back or 0.0) + PATIENCE)
        stage.watch(SETTLED + (promised.failback or 0.0))

    return run


HAPROXY_FAILOVER = Case(
    name="haproxy-failover",
    title="haproxy stops on the machine that holds the VIP",
    shows="the VIP comes to the next best master, a pod created meanwhile runs, and the VIP comes back",
    fault="haproxy-stop",
    headline="outage",
    checks=(*VIP_CHECKS, POD_RAN),
    run=break_holder("haproxy-stop", pod=True),
    kubernetes=True,
)
