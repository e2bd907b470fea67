"""The cases that need no Kubernetes: only machines, the load balancer and the VIP."""

from __future__ import annotations

from lab.providers.base import Capability
from lab.verify.cases.case import Case
from lab.verify.cases.vip import VIP_CHECKS, break_holder

MOVES = "the VIP comes to the next best master within what the timers promise, and comes back"


def _case(name: str, title: str, shows: str = MOVES, needs: frozenset[Capability] = frozenset()) -> Case:
    """A fault on the holder; the case is called after it."""
    return Case(name, title, shows, name, "outage", VIP_CHECKS, break_holder(name, pod=False), needs=needs)


LOADBALANCER = (
    _case("haproxy-stop", "haproxy is stopped in good order on the holder"),
    _case("haproxy-kill", "haproxy is killed on the holder and not started again"),
    _case(
        "haproxy-crash",
        "haproxy is killed on the holder and started again",
        "all is as before by itself",
    ),
    _case("haproxy-hang", "haproxy hangs on the holder: it accepts and says nothing"),
    _case("power-cut", "the holder's power is cut"),
    _case("pause", "the holder stands still for a while", needs=frozenset({Capability.PAUSE})),
)
