"""The oracle: what a definition's own timers promise of each fault, in seconds. Pure.

Formulas: RFC 3768 and RFC 5798 (take-over, skew); how keepalived and haproxy behave: FACTS.md 1; leases: FACTS.md 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.verify.recorded import Promised

if TYPE_CHECKING:
    from lab.topology import Topology

#: What a measurement adds at most on a busy machine: noticing the event, moving the address, its ARP, and the grain of
#: 50 connections a second whose slow ones count as failed from 0.1 s on. Measured outages lie ≤ 60 ms above the skew.
MEASURING = 0.15

#: Debian's haproxy unit is started again 0.1 s after a crash (RestartSec) and listens within 0.3 s; measured: 0.16 s.
RESTART = 0.4

#: How often a machine's end can be seen: the holder watchers' beat.
BEAT = 0.1

#: Leader election of Kubernetes: a lease is valid for 15 s and renewed every 2 s; a candidate tries every 2 s,
#: stretched by up to 1.2 of itself (client-go's JitterFactor).
LEASE, RETRY, JITTER = 15.0, 2.0, 1.2

#: Seconds within which the kubelet notices a manifest's removal and ends the container.
KUBELET = 5.0


@dataclass(frozen=True)
class Timers:
    """What of a definition decides the promises. ``priorities``: best first. ``detect``/``hang``: seconds at most."""

    version: int
    advert: float
    priorities: Sequence[int]
    weight: int
    detect: float
    hang: float | None
    event: bool
    preempt: bool


def timers(topology: Topology) -> Timers:
    """The timers out of a topology's definition."""
    keepalived = topology.definition.keepalived
    detection, hang = keepalived.detection, keepalived.hang_check
    event = detection.how == "track_file"
    script = detection.interval * detection.fall + detection.timeout
    return Timers(
        version=keepalived.vrrp_version,
        advert=keepalived.advert_interval,
        priorities=sorted((node.priority or 0 for node in topology.masters), reverse=True),
        weight=detection.weight,
        detect=0.0 if event else float(script),
        hang=float(hang.interval * hang.fall + hang.timeout) if hang.enabled else None,
        event=event,
        preempt=keepalived.preempt,
    )


def skew(priority: int, version: int, advert: float) -> float:
    """What a backup of this priority waits beyond the rest: (256 − priority)/256 of a second (v2) or an advert (v3)."""
    return (256 - priority) / 256 * (advert if version == 3 else 1.0)


def down(priority: int, version: int, advert: float) -> float:
    """How long a backup waits after silence: three advertisements and its skew."""
    return 3 * advert + skew(priority, version, advert)


def crosses(given: Timers) -> bool:
    """Does a failed check on the best master put it below the second?"""
    if len(given.priorities) < 2:
        return False
    best, second = given.priorities[:2]
    if given.weight == 0:
        return True  # FAULT: it gives up whatever the priorities are
    if given.weight > 0:
        return best < second + given.weight
    return best + given.weight < second


def takeover(given: Timers, silent: bool) -> float:
    """How long nobody may hold the VIP: the next one's skew when the holder says goodbye, its down-timer when not."""
    if len(given.priorities) < 2:
        return 0.0
    bonus = given.weight if given.weight > 0 else 0
    second = min(254, given.priorities[1] + bonus)
    if silent or given.weight != 0:
        return down(second, given.version, given.advert)
    return skew(second, given.version, given.advert)


def promise(given: Timers, fault: str) -> Promised:
    """What is promised of a fault by its name (faults.py), made on the best master."""
    if fault == "scheduler-remove":
        most = KUBELET + LEASE + RETRY * (1 + JITTER)
        reason = f"the lease expires after {LEASE:.0f} s, candidates try every {RETRY:.0f} s"
        return Promised(LEASE - RETRY, most, takeover(given, True) + BEAT, given.advert, True, reason)
    silent = fault in ("power-cut", "pause", "keepalived-kill")
    gap = takeover(given, silent)
    detect, moves, reason = _detection(given, fault)
    goodbye = "down-timer" if silent or given.weight else "skew"
    if moves is False:
        least, most = 0.0, detect
    elif fault == "haproxy-crash":
        least, most = 0.0, max(RESTART, detect) + 2 * gap + MEASURING
    else:
        least, most = 0.0 if fault == "keepalived-stop" else gap, detect + gap + MEASURING
        reason = f"{reason}; then the next one's {goodbye}, {gap:.3g} s"
    return Promised(least, most, gap + BEAT, given.advert, moves, reason)


def _detection(given: Timers, fault: str) -> tuple[float, bool | None, str]:
    """(seconds until it is noticed, must the VIP move?, why)."""
    alone = len(given.priorities) < 2
    if fault in ("power-cut", "pause", "keepalived-kill", "keepalived-stop"):
        return 0.0, None if alone else True, "its advertisements end"
    if fault == "haproxy-hang":
        if given.hang is None:
            return 0.0, None, "a hung haproxy is not looked for"
        return given.hang, crosses(given), f"silence is noticed within {given.hang:.3g} s"
    if fault == "haproxy-crash":
        if given.event:
            return 0.0, None, "it is started again at once; the VIP may go and come back"
        return RESTART + MEASURING, None, "it is started again before the script asks twice"
    seen = "its unit says so at once" if given.event else f"the script notices within {given.detect:.3g} s"
    return given.detect, crosses(given), seen


def no_fault(given: Timers) -> Promised:
    """What holds while nothing is done: one holder all the time."""
    return Promised(0.0, 0.0, 0.0, 0.0, None, "nothing was done")
