"""The machines' clocks, which stand still while a machine is paused and go back when a snapshot is restored.

A clock that is late makes certificates "not yet valid" and leases last for ever (kind#1689): it is stepped before anybody
looks at the cluster.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from lab.machine import Machine

#: Seconds by which a stepped clock may still differ: one ssh round trip into a slow machine.
CLOSE_ENOUGH = 2.0

#: Sets the clock to $1 (seconds since 1970) when it is off by more than $2, and prints by how much it was late.
SCRIPT = """\
late=$(awk -v now="$1" -v own="$(date +%s.%N)" 'BEGIN { printf "%.3f", now - own }')
if awk -v late="$late" -v close="$2" 'BEGIN { exit !(late > close || late < -close) }'; then
  date --utc --set="@$1" > /dev/null
fi
echo "$late"
"""


def step(machines: Sequence[Machine]) -> dict[str, float]:
    """Set all clocks to this host's, side by side; by how many seconds each was late. Raises CommandError."""

    def one(machine: Machine) -> float:
        result = machine.run(SCRIPT, [f"{time.time():.3f}", str(CLOSE_ENOUGH)], label="step the clock").check()
        return float(result.stdout.split()[-1])

    with ThreadPoolExecutor(max_workers=max(1, len(machines))) as pool:
        return dict(zip([machine.name for machine in machines], pool.map(one, machines), strict=True))
