"""How much the host's processors worked: what tells whether waiting could still be saved, or only work."""

from __future__ import annotations

import os
from pathlib import Path


def worked() -> float:
    """Seconds that a processor has worked since the host began, the mean of all of them (proc(5), /proc/stat)."""
    return busy(Path("/proc/stat").read_text(), os.sysconf("SC_CLK_TCK"), os.cpu_count() or 1)


def busy(stat: str, ticks: int, processors: int) -> float:
    """The same from the text of /proc/stat: of the first line all but idle and iowait, in ``ticks`` a second. Pure."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, stat.split("\n", 1)[0].split()[1:])
    return (user + nice + system + irq + softirq) / ticks / processors
