"""A load balancer that is changed while it is in use: in which order, and what that does to the VIP. Pure.

Where old and new settings understand each other the masters are changed one after another. A holder that is stopped
says goodbye, and the best of the others takes over after its skew (RFC 5798, 6.4.3); the one that deserves the VIP
takes it from a holder that goes on until then. Where they do not, both would hold it at once: all others are stopped,
the holder alone is changed, and the VIP waits for its down-timer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from lab.definition.models import Keepalived
from lab.oracle.failover import GRAIN, KEEPALIVED_ENDS, KEEPALIVED_STARTS, Span, ready, shown
from lab.plan.election import Router, router_of
from lab.topology import Topology

#: Seconds at most from a keepalived's goodbye until it listens again.
RESTART = KEEPALIVED_ENDS + KEEPALIVED_STARTS


@dataclass(frozen=True)
class Turn:
    """These masters are changed side by side; then ``holder`` has the VIP, and nothing goes on before."""

    nodes: tuple[str, ...]
    holder: str


@dataclass(frozen=True)
class Change:
    """``rolling``: all others stay in the election meanwhile; else ``stopped`` leave it before the first turn.

    ``moves``: how often at most a master takes the VIP. ``vacant``: for how long at most nobody has it, in seconds;
    ``reason`` says how that comes about.
    """

    rolling: bool
    stopped: tuple[str, ...]
    turns: tuple[Turn, ...]
    moves: int
    vacant: float
    reason: str

    def __str__(self) -> str:
        moves = {0: "no move", 1: "one move"}.get(self.moves, f"at most {self.moves} moves")
        return f"{moves} of the VIP, at most {shown(Span(self.vacant, self.vacant))} without a holder"


def change(topology: Topology, now: Mapping[str, Router | None], holder: str, due: Collection[str]) -> Change:
    """The change of the masters ``due`` to what the topology says.

    ``now`` has every master in the election as it is, None where that is not known; ``holder`` is one of them.
    """
    then = {node.name: router_of(topology, node) for node in topology.load_balancers if node.name in due}
    known = {name: router for name, router in now.items() if router is not None}
    if len(now) > 1 and known.keys() == now.keys() and _understood(known, then):
        return _roll(known, then, holder)
    return _replace(now, then, holder, topology)


def _understood(now: Mapping[str, Router], then: Mapping[str, Router]) -> bool:
    return all(one.understands(other) for name, one in now.items() for new, other in then.items() if name != new)


def _best(routers: Mapping[str, Router]) -> str:
    return max(routers, key=lambda name: routers[name].rank)


def _roll(now: Mapping[str, Router], then: Mapping[str, Router], holder: str) -> Change:
    """One after another: from the lowest upwards and the holder last, so that it moves away and back at most.

    Where the best has a higher priority than the holder had so far, the best comes first: else each master in turn
    would outrank the one before it.
    """
    best = _best({**now, **then})
    rising = best in then and then[best].rank[0] > now[holder].rank[0]
    order = sorted(then, key=lambda name: (name == holder, then[name].rank))
    if rising:
        order = [best, *(name for name in order if name != best)]
    routers, moves, vacant, turns = dict(now), 0, 0.0, []
    for name in order:
        if name == holder:
            leaving = routers.pop(name)
            holder, moves = _best(routers), moves + 1
            vacant = max(vacant, routers[holder].skew(leaving.interval))
        routers[name] = then[name]
        if name != holder and then[name].outranks(routers[holder]):
            holder, moves = name, moves + 1
        turns.append(Turn((name,), holder))
    reason = "one master after another: whoever holds the VIP says goodbye, and the next one waits its skew"
    return Change(True, (), tuple(turns), moves, vacant + GRAIN, reason)


def _replace(now: Mapping[str, Router | None], then: Mapping[str, Router], holder: str, topology: Topology) -> Change:
    """Everybody but the holder leaves; it is changed alone, then the others, the best of them first."""
    routers = {node.name: router_of(topology, node) for node in topology.load_balancers if node.name in {*now, *then}}
    others = [name for name in routers if name != holder]
    best = _best(routers)
    turns = [Turn((holder,), holder)]
    taken = holder
    if best != holder:
        taken = best if routers[best].outranks(routers[holder]) else holder
        turns.append(Turn((best,), taken))
    if rest := tuple(name for name in others if name != best):
        turns.append(Turn(rest, taken))
    vacant = _alone(routers[holder], topology.definition.keepalived) + GRAIN
    reason = "old and new settings do not understand each other: the holder is changed alone and waits its down-timer"
    stopped = tuple(name for name in now if name != holder)
    return Change(False, stopped, tuple(turns), 1 + (taken != holder), vacant, reason)


def _alone(router: Router, keepalived: Keepalived) -> float:
    """Seconds at most until a holder that nobody replaces has the VIP again after its restart."""
    return RESTART + ready(keepalived) + router.down_timer
