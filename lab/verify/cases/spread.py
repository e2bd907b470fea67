"""Many requests through the VIP: do they reach all apiservers?"""

from __future__ import annotations

import time

from lab.verify.cases.case import Case
from lab.verify.checks.client import STEADY_ANSWERS
from lab.verify.checks.cluster import AUDIT_SHARE, CREATED, SESSIONS
from lab.verify.checks.vip import STEADY_HOLDER
from lab.verify.records import Burst, Request
from lab.verify.stage import Stage

#: Pods that are created. They stay unscheduled: what counts is who took the request.
COUNT = 50

#: Seconds that the audit logs are given to show them all; the apiserver writes them before it answers.
WRITTEN = 10.0


def run(stage: Stage) -> None:
    """Create the pods between two looks at haproxy's counts, then read the audit logs."""
    tag = stage.tag()
    agent = f"halab-spread-{tag}"
    operator = stage.operator()
    with stage.pods():
        stage.phase("requests")
        # Round-robin deals to all in turn: a client that keeps step with the requests would always take the same seat.
        stage.probes.end_client()
        stage.sessions("before")
        stage.history.add(Burst(count=COUNT))
        stage.tell(f"creating {COUNT} pods from {operator}, each over a fresh connection to {stage.endpoint}")
        stage.api(operator, agent, "pods", COUNT, f"spread-{tag}", timeout=120.0)
        stage.sessions("after")
        created = stage.history.look(lambda records: sum(one.status == CREATED for one in records.of(Request)))
        deadline = time.monotonic() + WRITTEN
        while stage.audits(agent) < created and time.monotonic() < deadline:
            stage.watch(0.5)


API_SPREAD = Case(
    name="api-spread",
    title="fifty requests over fresh connections",
    shows="every apiserver gets its share, by its own audit log and by haproxy's count",
    fault="",
    headline="audit-share",
    checks=(STEADY_ANSWERS, STEADY_HOLDER, AUDIT_SHARE, SESSIONS),
    run=run,
    kubernetes=True,
    masters=1,
)
