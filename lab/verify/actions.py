"""What cases do while a fault lasts and after it, and what they wait for."""

from __future__ import annotations

import time

from lab.verify.checks.cluster import CREATED
from lab.verify.history import Records
from lab.verify.probes import CONNECTIONS
from lab.verify.records import Burst, Lease, Request
from lab.verify.stage import Stage

#: Seconds that are waited for what is promised, beyond that: what comes late is then seen to be late, not lost.
PATIENCE = 10.0

#: Seconds of connections recorded once the VIP is where it belongs: "all succeed again" must be seen, not assumed.
SETTLED = 3.0

#: Pods of a burst. They stay unscheduled: what counts is who took the request.
COUNT = 50

#: Seconds that the audit logs are given to show them all; the apiserver writes them before it answers.
WRITTEN = 10.0


def await_move(stage: Stage) -> None:
    """Wait until the VIP is where the fault should send it, and until nothing is suffered any more."""
    promised = stage.promised
    if promised.moves and not promised.transient:
        stage.wait_holder(stage.heir, (promised.maximum or 0.0) + PATIENCE)
    stage.watch(SETTLED + (promised.maximum or 0.0))


def await_return(stage: Stage) -> None:
    """Wait until the best master has the VIP again, and until nothing is suffered any more."""
    if stage.view.topology.definition.keepalived.preempt:
        stage.wait_holder(stage.best, (stage.promised.back or 0.0) + PATIENCE)
    stage.watch(SETTLED + (stage.promised.failback or 0.0))


def create_pod(stage: Stage) -> None:
    """Have a pod created through the VIP, follow it until it runs, and delete it."""
    with stage.pods():
        stage.run_pod(f"verify-{stage.tag()}")


def await_lease(stage: Stage) -> None:
    """Wait until another host than the victims has the lease that is followed."""
    stage.history.wait(
        lambda records: came_elsewhere(records, stage.victims), (stage.promised.maximum or 0.0) + PATIENCE
    )


def came_elsewhere(records: Records, victims: tuple[str, ...]) -> bool:
    """Has another host the lease, or had it? One that was given up belongs to nobody."""
    return any(lease.host not in ("", *victims) for lease in records.of(Lease))


def spread_requests(stage: Stage) -> None:
    """Create many pods, each over a fresh connection, between two looks at haproxy's counts; read the audit logs."""
    tag = stage.tag()
    agent, operator = f"halab-spread-{tag}", stage.operator
    with stage.pods():
        stage.phase("requests")
        # Round-robin deals to all in turn: a client that keeps step with the requests would always take the same seat.
        stage.probes.end(CONNECTIONS)
        stage.sessions("before")
        stage.history.add(Burst(count=COUNT))
        stage.tell(f"creating {COUNT} pods from {operator}, each over a fresh connection to {stage.view.endpoint}")
        stage.api(agent, "pods", COUNT, f"spread-{tag}", timeout=120.0)
        stage.sessions("after")
        created = stage.history.look(lambda records: sum(one.status == CREATED for one in records.of(Request)))
        deadline = time.monotonic() + WRITTEN
        while stage.audits(agent) < created and time.monotonic() < deadline:
            stage.watch(0.5)
