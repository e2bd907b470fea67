"""What the timers of VRRP, keepalived and haproxy promise when the holder of the VIP is struck. Pure.

Take-over and skew: RFC 3768 and RFC 5798. What keepalived, haproxy and systemd do on top of that was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab.definition import vrrp
from lab.definition.models import Definition, Detection, HangCheck, Keepalived
from lab.topology import Topology

#: Seconds that lie between the timers and a client on a busy machine: systemd's ExecStopPost, the move of the address,
#: its ARP, and 50 connections a second as a ruler. Measured: up to 0.06 with all cores busy.
GRAIN = 0.15

#: Seconds at most from a keepalived's goodbye until it has ended (measured: 1.03 to 1.05), and from its start until it
#: listens: the two seconds that a restart is given, without its end.
KEEPALIVED_ENDS, KEEPALIVED_STARTS = 1.05, 0.95


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
    """What a fault must lead to; all times in seconds.

    ``moves``: does the VIP move? None: it may. ``outage``: what a client sees, None when it lasts until somebody heals.
    ``vacant`` and ``double``: the longest time without a holder and with two; ``lost``: with two where an advertisement
    is lost on its way. ``back``: from a haproxy that is well again until the best master has its VIP again, None when
    it never left or does not return. ``failback``: what a client sees from the heal on, None where nothing can be
    promised of it. ``reason`` says how it comes about. ``transient``: the fault heals itself, and the VIP comes back by
    itself. Of a lease ``outage`` is the time until another host has it.
    """

    moves: bool | None
    outage: Span | None
    vacant: float
    double: float
    lost: float
    back: Span | None
    failback: Span | None
    reason: str
    transient: bool = False

    @property
    def survived(self) -> bool:
        """Does what the settings notice end the outage, and not the heal alone?"""
        return self.outage is not None


@dataclass(frozen=True)
class Watch:
    """One way in which haproxy's end is noticed: in which time, what follows, and until when after it is well again."""

    noticed: Span
    leaves: bool
    recovered: Span
    window: float
    text: str


def stays(outage: Span | None, reason: str) -> Promise:
    """The VIP stays where it is: one holder all the time, and no way back that could cost anything."""
    return Promise(False, outage, 0.0, 0.0, 0.0, None, NOTHING if outage else None, reason)


def alone() -> Promise:
    """What is done to the only master lasts until it is healed."""
    return stays(None, "there is no other master: it lasts until this one is healed")


def goes(
    topology: Topology,
    moves: bool | None,
    outage: Span | None,
    vacant: float,
    back: Span | None,
    reason: str,
    failback: float = GRAIN,
) -> Promise:
    """The VIP moves, or may.

    Whoever takes it advertises before anything else, and whoever had it yields on hearing of a better one: two hold it
    for as long as the network and the scheduler take (GRAIN). Where that one advertisement is lost, its sender's next
    one tells, an interval later. (RFC 5798, 6.4.2 and 6.4.3; keepalived answers a worse one's advertisement at once.)

    ``failback`` is the most that a client sees when the VIP returns, if it does: a move between two haproxies that are
    well takes GRAIN, as the one that takes it over advertises and announces the address in the same moment.
    """
    interval = topology.definition.keepalived.advert_interval
    returns = NOTHING if back is None else Span(0.0, failback)
    return Promise(moves, outage, vacant, GRAIN, interval + GRAIN, back, returns, reason)


def watches(definition: Definition, hangs: bool) -> Sequence[Watch]:
    """What notices that haproxy is gone (or hangs)."""
    keepalived = definition.keepalived
    detection, hang = keepalived.detection, keepalived.hang_check
    leaves = vrrp.faults(keepalived)
    found = []
    if detection.how == "track_file" and not hangs:
        found.append(Watch(Span(0.0, 0.0), leaves, Span(0.0, 0.0), 0.0, "haproxy's unit says so at once"))
    runs: list[tuple[Detection | HangCheck, bool, str]] = []
    if detection.how == "script" and not (hangs and detection.test == "listening"):
        runs.append((detection, leaves, "the script"))
    if hang.enabled:
        runs.append((hang, True, "the truth check"))
    for check, leaving, name in runs:
        silence = check.timeout if hangs else 0.0
        noticed = Span(check.interval * (check.fall - 1) + silence, check.interval * check.fall + silence)
        recovered = Span(check.interval * (check.rise - 1), check.interval * check.rise)
        text = f"{name} (every {check.interval} s, {check.fall} in a row) notices in {shown(noticed)}"
        found.append(Watch(noticed, leaving, recovered, float(check.interval * (check.fall - 1)), text))
    return found


def takeover(topology: Topology, leaves: bool) -> Span | None:
    """From the moment the holder knows until the next one has the VIP; None when it never gets it."""
    keepalived = topology.definition.keepalived
    holder, second = (node.priority or 0 for node in topology.ranked[:2])
    heir = vrrp.well(second, keepalived)
    if leaves:
        wait = vrrp.skew(heir, keepalived)
        return Span(wait, wait)
    if vrrp.unwell(holder, keepalived) >= heir:
        return None
    return down(topology, heir)


def down(topology: Topology, priority: int) -> Span:
    """The down-timer counts from the last advertisement that was heard, which is up to an interval ago."""
    keepalived = topology.definition.keepalived
    most = vrrp.down_timer(priority, keepalived)
    return Span(most - keepalived.advert_interval, most)


def back(topology: Topology, recovered: Span) -> Span | None:
    """From a haproxy that is well again until the best master has its VIP back."""
    keepalived = topology.definition.keepalived
    if not keepalived.preempt:
        return None
    best = topology.ranked[0].priority or 0
    return recovered + Span(0.0, GRAIN) + down(topology, vrrp.well(best, keepalived))


def ready(keepalived: Keepalived) -> float:
    """Seconds at most from a keepalived's start until each of its checks has told that haproxy is well."""
    checks: list[Detection | HangCheck] = []
    if keepalived.detection.how == "script":
        checks.append(keepalived.detection)
    if keepalived.hang_check.enabled:
        checks.append(keepalived.hang_check)
    return max((check.timeout + check.interval * (check.rise - 1) for check in checks), default=0.0)


def slowest(definition: Definition) -> Span:
    """The slowest of all checks to believe that haproxy is well."""
    found = watches(definition, hangs=False)
    return max((watch.recovered for watch in found), key=lambda span: span.most, default=NOTHING)


def shown(span: Span | None) -> str:
    """A span as people read it."""
    if span is None:
        return "until it is healed"
    if span.most < 1:
        least, most = f"{span.least * 1000:.0f}", f"{span.most * 1000:.0f} ms"
    else:
        least, most = f"{span.least:.1f}", f"{span.most:.1f} s"
    return most if least == most.split(" ")[0] else f"{least} to {most}"
