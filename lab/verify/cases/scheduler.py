"""The leading scheduler's machine loses it: does another one take over?"""

from __future__ import annotations

from lab.errors import LabError
from lab.verify.cases.case import Case
from lab.verify.cases.vip import PATIENCE
from lab.verify.checks.client import STEADY_ANSWERS
from lab.verify.checks.cluster import POD_RAN, host_of
from lab.verify.checks.lease import LEASE, SCHEDULED
from lab.verify.checks.vip import STEADY_HOLDER
from lab.verify.faults import make
from lab.verify.history import Record
from lab.verify.ledger import applied, pods
from lab.verify.oracle import promise
from lab.verify.stage import Stage

NAME = "kube-scheduler"

#: Seconds in which the lease's probe must have told who leads.
TOLD = 15.0


def run(stage: Stage) -> None:
    """Take the manifest away on the leader's machine; create a pod at once, which must wait for the new leader."""
    victim = stage.leader(NAME, TOLD)
    if victim not in stage.view.machines:
        raise LabError(f"the lease {NAME} is held by {victim}, which is no machine of this lab")
    promised = promise(stage.view.topology, "scheduler-remove")
    stage.tell(f"removing the scheduler of {victim}, which leads")
    stage.phase("fault")
    with applied(make("scheduler-remove", victim), stage.view, stage.history):
        with pods(stage.view, stage.operator(victim)):
            stage.run_pod(f"verify-{stage.history.tag()}", victim)
        stage.history.wait(lambda records: came_elsewhere(records, victim), (promised.maximum or 0.0) + PATIENCE)
        stage.tell(f"healing {victim}")
        stage.phase("heal")


def came_elsewhere(records: list[Record], victim: str) -> bool:
    """Has another host than the victim the lease, or had it? One that was given up belongs to nobody."""
    return any(host_of(str(r["holder"])) not in ("", victim) for r in reversed(records) if r["kind"] == "lease")


SCHEDULER_FAILOVER = Case(
    name="scheduler-failover",
    title="the leading scheduler's machine loses it",
    shows="the lease moves to another host, and a pod created meanwhile is scheduled and runs",
    fault="scheduler-remove",
    headline="lease",
    checks=(STEADY_ANSWERS, STEADY_HOLDER, LEASE, SCHEDULED, POD_RAN),
    run=run,
    kubernetes=True,
    lease=NAME,
)
