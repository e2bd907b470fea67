"""What a definition's own timers promise when the holder of the VIP is struck. Pure arithmetic, no measurement.

Take-over and skew: RFC 3768 and RFC 5798. What keepalived, haproxy and systemd do on top of that was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from lab.definition import vrrp
from lab.definition.models import Definition, Detection, HangCheck
from lab.topology import Topology

#: Seconds that lie between the timers and a client on a busy machine: systemd's ExecStopPost, the move of the address,
#: its ARP, and 50 connections a second as a ruler. Measured: up to 0.06 with all cores busy.
GRAIN = 0.15

#: Seconds from a crashed haproxy to one that serves again: Debian's unit restarts it after 0.1, the rest is systemd's
#: and haproxy's own. Measured: 0.16 on idle processors, 0.37 to 0.67 in ten crashes with a whole lab on two.
RESTART = (0.1, 0.8)

#: Seconds at most until etcd has a new leader, when the machine that went was the old one (election timeout 1 s).
ETCD_ELECTION = 2.0


class Fault(StrEnum):
    """What can happen to the holder. *stop*, *kill* (its restart switched off) and *crash* (restarted) differ."""

    STOP = "haproxy-stop"
    KILL = "haproxy-kill"
    CRASH = "haproxy-crash"
    HANG = "haproxy-hang"
    POWER_CUT = "power-cut"
    PAUSE = "pause"


@dataclass(frozen=True)
class Span:
    """From the least to the most, in seconds."""

    least: float
    most: float

    def __add__(self, other: Span) -> Span:
        return Span(self.least + other.least, self.most + other.most)


#: No time at all.
NOTHING = Span(0.0, 0.0)


@dataclass(frozen=True)
class Promise:
    """What one fault on the holder must lead to; all times in seconds.

    ``moves``: does the VIP move? None: it may. ``outage``: what a client sees, None when it lasts until somebody heals.
    ``vacant`` and ``double``: the longest time without a holder and with two; ``lost``: with two where an advertisement
    is lost on its way. ``back``: from a haproxy that is well again until the best master has its VIP again, None when
    it never left or does not return. ``failback``: what a client sees from the heal on, None where nothing can be
    promised of it. ``reason`` says how it comes about.
    """

    fault: Fault
    moves: bool | None
    outage: Span | None
    vacant: float
    double: float
    lost: float
    back: Span | None
    failback: Span | None
    reason: str

    @property
    def survived(self) -> bool:
        """Does what the settings notice end the outage, and not the heal alone?"""
        return self.outage is not None


@dataclass(frozen=True)
class _Watch:
    """One way in which haproxy's end is noticed: in which time, what follows, and until when after it is well again."""

    noticed: Span
    leaves: bool
    recovered: Span
    window: float
    text: str


def promises(topology: Topology, *, cluster: bool = True) -> tuple[Promise, ...]:
    """What is promised for each fault. ``cluster``: does Kubernetes run, or the load balancer alone?"""
    return tuple(promise(topology, fault, cluster=cluster) for fault in Fault)


def promise(topology: Topology, fault: Fault, *, cluster: bool = True) -> Promise:
    """What is promised for one fault on the master that deserves the VIP most."""
    if len(topology.ranked) < 2:
        return _alone(fault)
    if fault in (Fault.POWER_CUT, Fault.PAUSE):
        return _silence(topology, fault, cluster)
    if fault is Fault.CRASH:
        return _crash(topology)
    return _noticed(topology, fault)


def _stays(fault: Fault, outage: Span | None, reason: str) -> Promise:
    """The VIP stays where it is: one holder all the time, and no way back that could cost anything."""
    return Promise(fault, False, outage, 0.0, 0.0, 0.0, None, NOTHING if outage else None, reason)


def _goes(
    topology: Topology,
    fault: Fault,
    moves: bool | None,
    outage: Span | None,
    vacant: float,
    back: Span | None,
    reason: str,
) -> Promise:
    """The VIP moves, or may.

    Whoever takes it advertises before anything else, and whoever had it yields on hearing of a better one: two hold it
    for as long as the network and the scheduler take (GRAIN). Where that one advertisement is lost, its sender's next
    one tells, an interval later. (RFC 5798, 6.4.2 and 6.4.3; keepalived answers a worse one's advertisement at once.)
    """
    interval = topology.definition.keepalived.advert_interval
    return Promise(
        fault, moves, outage, vacant, GRAIN, interval + GRAIN, back, _failback(topology, fault, back), reason
    )


def _alone(fault: Fault) -> Promise:
    if fault is Fault.CRASH:
        return _stays(fault, Span(RESTART[0], RESTART[1] + GRAIN), "systemd starts it again")
    return _stays(fault, None, "there is no other master: it lasts until this one is healed")


def _watches(definition: Definition, hangs: bool) -> Sequence[_Watch]:
    """What notices that haproxy is gone (or hangs)."""
    keepalived = definition.keepalived
    detection, hang = keepalived.detection, keepalived.hang_check
    leaves = vrrp.faults(keepalived)
    found = []
    if detection.how == "track_file" and not hangs:
        found.append(_Watch(Span(0.0, 0.0), leaves, Span(0.0, 0.0), 0.0, "haproxy's unit says so at once"))
    runs: list[tuple[Detection | HangCheck, bool, str]] = []
    if detection.how == "script" and not (hangs and detection.test == "listening"):
        runs.append((detection, leaves, "the script"))
    if hang.enabled:
        runs.append((hang, True, "the truth check"))
    for check, goes, name in runs:
        silence = check.timeout if hangs else 0.0
        noticed = Span(check.interval * (check.fall - 1) + silence, check.interval * check.fall + silence)
        recovered = Span(check.interval * (check.rise - 1), check.interval * check.rise)
        text = f"{name} (every {check.interval} s, {check.fall} in a row) notices in {shown(noticed)}"
        found.append(_Watch(noticed, goes, recovered, float(check.interval * (check.fall - 1)), text))
    return found


def _takeover(topology: Topology, leaves: bool) -> Span | None:
    """From the moment the holder knows until the next one has the VIP; None when it never gets it."""
    keepalived = topology.definition.keepalived
    holder, second = (node.priority or 0 for node in topology.ranked[:2])
    heir = vrrp.well(second, keepalived)
    if leaves:
        wait = vrrp.skew(heir, keepalived)
        return Span(wait, wait)
    if vrrp.unwell(holder, keepalived) >= heir:
        return None
    return _down(topology, heir)


def _down(topology: Topology, priority: int) -> Span:
    """The down-timer counts from the last advertisement that was heard, which is up to an interval ago."""
    keepalived = topology.definition.keepalived
    most = vrrp.down_timer(priority, keepalived)
    return Span(most - keepalived.advert_interval, most)


def _back(topology: Topology, recovered: Span) -> Span | None:
    """From a haproxy that is well again until the best master has its VIP back."""
    keepalived = topology.definition.keepalived
    if not keepalived.preempt:
        return None
    best = topology.ranked[0].priority or 0
    return recovered + Span(0.0, GRAIN) + _down(topology, vrrp.well(best, keepalived))


def _failback(topology: Topology, fault: Fault, back: Span | None) -> Span:
    """What a client sees when the fault is healed: the VIP's way back, a move between two haproxies that are well.

    The one that takes it over advertises and announces the address in the same moment (GRAIN). A crash heals itself,
    and has brought the VIP back long before. Without preemption nothing moves.
    """
    if back is None or fault is Fault.CRASH:
        return NOTHING
    return Span(0.0, GRAIN + (_deceived(topology, back) if fault is Fault.POWER_CUT else 0.0))


def _deceived(topology: Topology, back: Span) -> float:
    """Seconds for which a machine that has booted has the VIP and gives clients to its own apiserver that is not there.

    A haproxy that starts believes in every apiserver until enough checks have failed. A refused connection costs no
    client anything where its next attempt goes elsewhere at once; the same one is asked again after a second only.
    """
    haproxy = topology.definition.haproxy
    if haproxy.retries and haproxy.redispatch == "every":
        return 0.0
    return max(0.0, haproxy.check.fall * haproxy.check.inter - back.least)


def _noticed(topology: Topology, fault: Fault) -> Promise:
    """haproxy is gone or hangs, and stays so: the quickest of what notices it decides."""
    ways = []
    for watch in _watches(topology.definition, hangs=fault is Fault.HANG):
        takeover = _takeover(topology, watch.leaves)
        if takeover is not None:
            ways.append((watch.noticed + takeover, watch, takeover))
    if not ways:
        reason = "nothing notices it" if fault is Fault.HANG else "the weight never lets the next master pass"
        return _stays(fault, None, f"{reason}: it lasts until haproxy is healed")
    total, watch, takeover = min(ways, key=lambda way: way[0].most)
    least = min(way[0].least for way in ways)
    slowest = max((way[1].recovered for way in ways), key=lambda span: span.most)
    how = "leaves, and the next one waits its skew" if watch.leaves else "only falls behind: three adverts and the skew"
    reason = f"{watch.text}; the holder {how}, {shown(takeover)}"
    vacant = takeover.most + GRAIN if watch.leaves else GRAIN
    outage = Span(least, total.most + GRAIN)
    return _goes(topology, fault, True, outage, vacant, _back(topology, slowest), reason)


def _crash(topology: Topology) -> Promise:
    """haproxy is killed and systemd starts it again: does anything notice it in between?"""
    fault = Fault.CRASH
    stays = Span(RESTART[0], RESTART[1] + GRAIN)
    certain = False
    latest: _Watch | None = None
    for watch in _watches(topology.definition, hangs=False):
        takeover = _takeover(topology, watch.leaves)
        if takeover is None or watch.window > RESTART[1]:
            continue
        at_once = watch.noticed.most == 0.0
        believed = RESTART[1] if at_once else watch.recovered.most
        if not watch.leaves and believed < takeover.least:
            continue  # its priority is back before the next one's timer has run out
        certain = certain or (at_once and watch.leaves)
        if latest is None or watch.recovered.most > latest.recovered.most:
            latest = watch
    if latest is None:
        return _stays(fault, stays, "systemd starts it again before anything could follow from it")
    back = _back(topology, latest.recovered)
    takeover = _takeover(topology, latest.leaves) or Span(0.0, 0.0)
    most = max(stays.most, takeover.most + GRAIN)
    if back is not None:
        most = max(most, RESTART[1] + latest.noticed.most + back.most)
    reason = "the VIP moves and comes back: a client may lose connections both times"
    if back is None:
        reason = "the VIP moves, and nobody takes it back: a client may lose connections once"
    if not certain:
        reason = "systemd starts it again, but a check may fall in between: then " + reason
    outage = Span(min(stays.least, takeover.least), most)
    return _goes(topology, fault, True if certain else None, outage, takeover.most + GRAIN, back, reason)


def _silence(topology: Topology, fault: Fault, cluster: bool) -> Promise:
    """The machine is gone without a word: the down-timer, and haproxy's checks for the apiserver that went with it."""
    definition = topology.definition
    keepalived, haproxy = definition.keepalived, definition.haproxy
    takeover = _down(topology, vrrp.well(topology.ranked[1].priority or 0, keepalived))
    check = haproxy.check
    connect = min(haproxy.timeouts.connect, check.inter)  # haproxy's own rule for a check's connection
    first = max(check.inter + connect, haproxy.timeouts.check)
    dead = first + (check.fall - 1) * (check.inter + connect)
    most, reason = takeover.most, f"three adverts and the next one's skew, {shown(takeover)}"
    reason += f"; haproxy drops the lost apiserver within {dead:.3g} s"
    most = max(most, dead)
    if cluster:
        election = ETCD_ELECTION + haproxy.timeouts.check + check.rise * check.inter
        reason += f"; when it led etcd, its successor and the checks take up to {election:.3g} s"
        most = max(most, election)
    back = _back(topology, _slowest(definition)) if fault is Fault.POWER_CUT else Span(0.0, keepalived.advert_interval)
    # What only connects believes in an apiserver that listens, long before it can serve (403 and 500 until then).
    unready = fault is Fault.POWER_CUT and cluster and check.kind == "tcp"
    if unready:
        reason += (
            "; back again, its apiserver gets clients before it can serve them, and nobody can promise for how long"
        )
    elif fault is Fault.POWER_CUT and back is not None and (deceived := _deceived(topology, back)):
        reason += (
            f"; back again it gives clients for up to {deceived:.3g} s to its own apiserver, which is not there yet"
        )
    outage: Span | None = Span(takeover.least, most + GRAIN)
    if fault is Fault.PAUSE and check.kind == "tcp" and not topology.driver:
        # A container's processes are frozen, and not the kernel, which goes on accepting for them.
        outage = None
        reason = f"the VIP moves, {shown(takeover)}, but tcp checks never miss the apiserver of a frozen container"
    gone = _goes(topology, fault, True, outage, takeover.most + GRAIN, back, reason)
    return replace(gone, failback=None) if unready else gone


def _slowest(definition: Definition) -> Span:
    """The slowest of all checks to believe that haproxy is well."""
    watches = _watches(definition, hangs=False)
    return max((watch.recovered for watch in watches), key=lambda span: span.most, default=Span(0.0, 0.0))


def shown(span: Span | None) -> str:
    """A span as people read it."""
    if span is None:
        return "until it is healed"
    if span.most < 1:
        least, most = f"{span.least * 1000:.0f}", f"{span.most * 1000:.0f} ms"
    else:
        least, most = f"{span.least:.1f}", f"{span.most:.1f} s"
    return most if least == most.split(" ")[0] else f"{least} to {most}"
