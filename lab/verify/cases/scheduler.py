"""The leading scheduler's machine loses it: does another one take over?"""

from __future__ import annotations

from lab.errors import LabError
from lab.faults.kinds import kind_of
from lab.faults.spec import Fault
from lab.verify.cases.case import Case
from lab.verify.cases.vip import PATIENCE
from lab.verify.checks.client import STEADY_ANSWERS
from lab.verify.checks.cluster import LEASE, POD_RAN, SCHEDULED
from lab.verify.checks.vip import STEADY_HOLDER
from lab.verify.history import Records
from lab.verify.records import Lease
from lab.verify.stage import Stage

NAME = "kube-scheduler"

#: Seconds in which the lease's probe must have told who leads.
TOLD = 15.0


def run(stage: Stage) -> None:
    """Take the manifest away on the leader's machine; create a pod at once, which must wait for the new leader."""
    victim = stage.leader(NAME, TOLD)
    if victim not in stage.view.machines:
        raise LabError(f"the lease {NAME} is held by {victim}, which is no machine of this lab")
    fault, promised = Fault("scheduler-remove", (victim,)), stage.promised
    stage.tell(kind_of(fault.kind).told(fault))
    stage.phase("fault")
    with stage.struck(fault):
        with stage.pods(victim):
            stage.run_pod(f"verify-{stage.tag()}", victim)
        stage.history.wait(lambda records: came_elsewhere(records, victim), (promised.maximum or 0.0) + PATIENCE)
        stage.tell(f"healing {victim}")
        stage.phase("heal")


def came_elsewhere(records: Records, victim: str) -> bool:
    """Has another host than the victim the lease, or had it? One that was given up belongs to nobody."""
    return any(lease.host not in ("", victim) for lease in records.of(Lease))


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
