"""The cases, by name. A case is a small file: which fault, what to observe, which checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lab.errors import UsageError
from lab.plan.watching import unmeasured, unwatchable
from lab.providers.base import Capability
from lab.topology import Topology
from lab.verify.cases.case import Case
from lab.verify.cases.loadbalancer import LOADBALANCER
from lab.verify.cases.scheduler import SCHEDULER_FAILOVER
from lab.verify.cases.spread import API_SPREAD
from lab.verify.cases.vip import HAPROXY_FAILOVER

#: The article's three, in its order.
ARTICLE = (HAPROXY_FAILOVER, API_SPREAD, SCHEDULER_FAILOVER)

CASES: dict[str, Case] = {case.name: case for case in (*ARTICLE, *LOADBALANCER)}


def named(names: Sequence[str]) -> list[Case]:
    """The cases of these names, in this order. Raises UsageError with all that are unknown."""
    if missing := [name for name in names if name not in CASES]:
        raise UsageError(f"no such case: {', '.join(missing)}", f"there are: {', '.join(CASES)}")
    return [CASES[name] for name in names]


def usual(kubernetes: bool, capabilities: frozenset[Capability], masters: int = 3) -> list[Case]:
    """What is verified when no case is named: the article's cases, or without a cluster all that need none.

    Only those that a lab of so many masters, on a provider with these capabilities, can be put through.
    """
    wanted = ARTICLE if kubernetes else LOADBALANCER
    return [case for case in wanted if case.needs <= capabilities and case.masters <= masters]


def refuse_endless(cases: Iterable[Case], topology: Topology, *, cluster: bool) -> None:
    """Raises UsageError for cases that would go on when their probes have ended."""
    endless = {promise.fault.value: promise for promise in unwatchable(topology, cluster=cluster)}
    if found := [endless[fault] for fault in dict.fromkeys(case.fault for case in cases) if fault in endless]:
        others = ", ".join(name for name, case in CASES.items() if case.fault not in endless)
        raise UsageError(unmeasured(found), f"shorten the timers (./inv plan), or choose by --case: {others}")
