"""VRRP's own formulas (RFC 3768 for version 2, RFC 5798 for version 3), and what a weight makes of a priority."""

from __future__ import annotations

from lab.definition.models import Keepalived

#: Advertisements that a backup waits for in vain before it takes over (RFC 5798, 6.1: Master_Down_Interval).
DOWN_ADVERTS = 3

#: Seconds by which the skews of two successive backups must differ, or both may take over.
#: Measured: 8 ms apart they did, in 1 round of 15.
SAFE_SKEW_GAP = 0.04

#: keepalived's bounds for an effective priority.
LOWEST, HIGHEST = 1, 254


def skew(priority: int, keepalived: Keepalived) -> float:
    """Seconds that a backup of this priority waits beyond the others: the better, the shorter."""
    unit = 1.0 if keepalived.vrrp_version == 2 else keepalived.advert_interval
    return (256 - priority) / 256 * unit


def down_timer(priority: int, keepalived: Keepalived) -> float:
    """Seconds of silence after which a backup of this priority takes over."""
    return DOWN_ADVERTS * keepalived.advert_interval + skew(priority, keepalived)


def well(priority: int, keepalived: Keepalived) -> int:
    """The effective priority of a master whose haproxy is well."""
    return min(HIGHEST, priority + max(0, keepalived.detection.weight))


def faults(keepalived: Keepalived) -> bool:
    """Does a master without haproxy leave the election altogether (FAULT), instead of only losing priority?"""
    detection = keepalived.detection
    return detection.weight == 0 or (detection.how == "track_file" and detection.weight <= -HIGHEST)


def unwell(priority: int, keepalived: Keepalived) -> int:
    """The effective priority of a master whose haproxy is gone; 0 is VRRP's own word for "I leave" (FAULT)."""
    if faults(keepalived):
        return 0
    return max(LOWEST, priority + min(0, keepalived.detection.weight))
