"""A whole machine goes away without a word: its power is cut, or it stands still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lab.definition import vrrp
from lab.faults.kind import Hands, Kind, Moments, Situation, each
from lab.faults.spec import Fault
from lab.oracle import failover
from lab.oracle.failover import GRAIN, Promise, Span, shown
from lab.providers.base import Capability
from lab.topology import Topology

#: Seconds at most until etcd has a new leader, when the machine that went was the old one (election timeout 1 s).
ETCD_ELECTION = 2.0


def cut(situation: Situation) -> Promise:
    """The machine is off, and boots when it is healed."""
    topology = situation.topology
    if len(topology.ranked) < 2:
        return failover.alone()
    outage, vacant, reason = _silence(situation)
    back = failover.back(topology, failover.slowest(topology.definition))
    # What only connects believes in an apiserver that listens, long before it can serve (403 and 500 until then).
    unready = situation.cluster and topology.definition.haproxy.check.kind == "tcp"
    deceived = _deceived(topology, back)
    if unready:
        reason += "; back again, its apiserver gets clients before it can serve them"
        reason += ", and nobody can promise for how long"
    elif deceived:
        reason += f"; back again it gives clients for up to {deceived:.3g} s to its own apiserver"
        reason += ", which is not there yet"
    made = failover.goes(topology, True, outage, vacant, back, reason, failback=GRAIN + deceived)
    return replace(made, failback=None) if unready else made


def stood_still(situation: Situation) -> Promise:
    """The machine stands still; when it goes on it still believes to be the holder, until the next advertisement."""
    topology = situation.topology
    if len(topology.ranked) < 2:
        return failover.alone()
    outage: Span | None
    outage, vacant, reason = _silence(situation)
    if topology.definition.haproxy.check.kind == "tcp" and not topology.driver:
        # A container's processes are frozen, and not the kernel, which goes on accepting for them.
        takeover = shown(_takeover(topology))
        outage = None
        reason = f"the VIP moves, {takeover}, but tcp checks never miss the apiserver of a frozen container"
    back = Span(0.0, topology.definition.keepalived.advert_interval)
    return failover.goes(topology, True, outage, vacant, back, reason)


def _takeover(topology: Topology) -> Span:
    keepalived = topology.definition.keepalived
    return failover.down(topology, vrrp.well(topology.ranked[1].priority or 0, keepalived))


def _silence(situation: Situation) -> tuple[Span, float, str]:
    """The down-timer, and haproxy's checks for the apiserver that went too: outage, time without a holder, reason."""
    haproxy = situation.topology.definition.haproxy
    takeover, check = _takeover(situation.topology), haproxy.check
    connect = min(haproxy.timeouts.connect, check.inter)  # haproxy's own rule for a check's connection
    first = max(check.inter + connect, haproxy.timeouts.check)
    dead = first + (check.fall - 1) * (check.inter + connect)
    most, reason = max(takeover.most, dead), f"three adverts and the next one's skew, {shown(takeover)}"
    reason += f"; haproxy drops the lost apiserver within {dead:.3g} s"
    if situation.cluster:
        election = ETCD_ELECTION + haproxy.timeouts.check + check.rise * check.inter
        reason += f"; when it led etcd, its successor and the checks take up to {election:.3g} s"
        most = max(most, election)
    return Span(takeover.least, most + GRAIN), takeover.most + GRAIN, reason


def _deceived(topology: Topology, back: Span | None) -> float:
    """Seconds for which a machine that has booted has the VIP and gives clients to its own apiserver that is not there.

    A haproxy that starts believes in every apiserver until enough checks have failed. A refused connection costs no
    client anything where its next attempt goes elsewhere at once; the same one is asked again after a second only.
    """
    haproxy = topology.definition.haproxy
    if back is None or (haproxy.retries and haproxy.redispatch == "every"):
        return 0.0
    return max(0.0, haproxy.check.fall * haproxy.check.inter - back.least)


def _silent(act: Callable[[Hands, str], None]) -> Callable[[Hands, Fault], Moments]:
    """No machine can tell when: it is gone."""

    def begin(hands: Hands, fault: Fault) -> Moments:
        each(fault, lambda node: act(hands, node))
        return {}

    return begin


KINDS = (
    Kind(
        "power-cut",
        _silent(lambda hands, node: hands.cut(node)),
        lambda hands, fault: each(fault, hands.start),
        cut,
        silences=True,
    ),
    Kind(
        "pause",
        _silent(lambda hands, node: hands.pause(node)),
        lambda hands, fault: each(fault, hands.unpause),
        stood_still,
        silences=True,
        needs=frozenset({Capability.PAUSE}),
    ),
)
