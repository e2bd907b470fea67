"""The cases, by name. One more on faults, probes and checks that are there is a row here, and a scenario."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lab.errors import UsageError
from lab.plan.watching import unmeasured, unwatchable
from lab.verify.actions import await_lease, await_move, await_return, create_pod, spread_requests
from lab.verify.case import Aimed, Case, Needs
from lab.verify.checks.client import RECOVERED, STEADY_ANSWERS, STEADY_CLIENT
from lab.verify.checks.cluster import AUDIT_SHARE, POD_RAN, SESSIONS
from lab.verify.checks.lease import LEASE, SCHEDULED
from lab.verify.checks.moves import CAME_BACK, MOVED
from lab.verify.checks.outages import FAILBACK, LOSSES, OUTAGE
from lab.verify.checks.vip import HOLDERS, STEADY_HOLDER
from lab.verify.probes import CONNECTIONS, HOLDERS_OF_VIP, lease
from lab.verify.targets import holder, leader
from lab.verify.view import LabView

#: The article's three, which are verified where no case is named, and those that need a load balancer only.
ARTICLE, LOADBALANCER = frozenset({"article"}), frozenset({"loadbalancer"})

CLUSTER = Needs(kubernetes=True)
SCHEDULER = "kube-scheduler"

#: What is recorded in every case, and what is judged of every fault on the holder.
WATCHED = (CONNECTIONS, HOLDERS_OF_VIP)
VIP_CHECKS = (STEADY_CLIENT, STEADY_HOLDER, OUTAGE, FAILBACK, LOSSES, HOLDERS, MOVED, CAME_BACK, RECOVERED)


def _on_holder(fault: str, title: str, shows: str = "") -> Case:
    """A fault on the holder; the case is called after it."""
    return Case(
        name=fault,
        title=title,
        shows=shows or "the VIP comes to the next best master within what the timers promise, and comes back",
        headline="outage",
        faults=(Aimed(fault, holder),),
        probes=WATCHED,
        meanwhile=(await_move,),
        afterwards=(await_return,),
        checks=VIP_CHECKS,
        tags=LOADBALANCER,
    )


CASES: dict[str, Case] = {
    case.name: case
    for case in (
        Case(
            name="haproxy-failover",
            title="haproxy stops on the machine that holds the VIP",
            shows="the VIP comes to the next best master, a pod created meanwhile runs, and the VIP comes back",
            headline="outage",
            faults=(Aimed("haproxy-stop", holder),),
            probes=WATCHED,
            meanwhile=(await_move, create_pod),
            afterwards=(await_return,),
            checks=(*VIP_CHECKS, POD_RAN),
            tags=ARTICLE,
            needs=CLUSTER,
        ),
        Case(
            name="api-spread",
            title="fifty requests over fresh connections",
            shows="every apiserver gets its share, by its own audit log and by haproxy's count",
            headline="audit-share",
            probes=WATCHED,
            meanwhile=(spread_requests,),
            checks=(STEADY_ANSWERS, STEADY_HOLDER, AUDIT_SHARE, SESSIONS),
            tags=ARTICLE,
            needs=Needs(kubernetes=True, masters=1),
        ),
        Case(
            name="scheduler-failover",
            title="the leading scheduler's machine loses it",
            shows="the lease moves to another host, and a pod created meanwhile is scheduled and runs",
            headline="lease",
            faults=(Aimed("scheduler-remove", leader(SCHEDULER)),),
            probes=(*WATCHED, lease(SCHEDULER)),
            # The pod is created at once: it must wait for the new leader.
            meanwhile=(create_pod, await_lease),
            checks=(STEADY_ANSWERS, STEADY_HOLDER, LEASE, SCHEDULED, POD_RAN),
            tags=ARTICLE,
            needs=CLUSTER,
        ),
        _on_holder("haproxy-stop", "haproxy is stopped in good order on the holder"),
        _on_holder("haproxy-kill", "haproxy is killed on the holder and not started again"),
        _on_holder("haproxy-crash", "haproxy is killed on the holder and started again", "all is as before by itself"),
        _on_holder("haproxy-hang", "haproxy hangs on the holder: it accepts and says nothing"),
        _on_holder("keepalived-stop", "keepalived is stopped in good order on the holder"),
        _on_holder("power-cut", "the holder's power is cut"),
        _on_holder("pause", "the holder stands still for a while"),
    )
}


def named(names: Sequence[str]) -> list[Case]:
    """The cases of these names, in this order. Raises UsageError with all that are unknown."""
    if missing := [name for name in names if name not in CASES]:
        raise UsageError(f"no such case: {', '.join(missing)}", f"there are: {', '.join(CASES)}")
    return [CASES[name] for name in names]


def tagged(tags: frozenset[str]) -> list[Case]:
    """The cases that have all of these tags."""
    return [case for case in CASES.values() if tags <= case.tags]


def usual(view: LabView) -> list[Case]:
    """What is verified when no case is named: the article's cases, or without a cluster all that need none.

    Only those that this lab can be put through.
    """
    return [case for case in tagged(ARTICLE if view.kubernetes else LOADBALANCER) if not case.lacks(view)]


def refuse_endless(cases: Iterable[Case], view: LabView) -> None:
    """Raises UsageError for cases that would go on when their probes have ended."""
    endless = unwatchable(view.topology, cluster=view.kubernetes)

    def lasting(case: Case) -> set[str]:
        return {aimed.kind for aimed in case.faults} & set(endless)

    kinds = {kind for case in cases for kind in lasting(case)}
    if found := {kind: seconds for kind, seconds in endless.items() if kind in kinds}:
        others = ", ".join(name for name, case in CASES.items() if not lasting(case))
        raise UsageError(unmeasured(found), f"shorten the timers (./inv plan), or choose by --case: {others}")
