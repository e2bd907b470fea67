"""The machines' clocks, which stand still while a machine is paused and go back when a snapshot is restored.

A clock that is late makes certificates "not yet valid" and leases last for ever (kind#1689): it is stepped before
anybody looks at the cluster.
"""

from __future__ import annotations

from collections.abc import Sequence

from lab.machine import Machine
from lab.parallel import workers

#: Seconds that one machine is given: an emulated one under load answers late.
SECONDS = 120.0

#: Sets the clock by the machine's own hardware clock, which the hypervisor keeps going through pauses and restores;
#: over ssh the time would be old when it arrives. That clock knows whole seconds only, so the script waits for the next
#: one to begin. Prints by how many milliseconds the clock was late; right to a tenth of a second is not touched.
SCRIPT = """\
set -euo pipefail
clock=/sys/class/rtc/rtc0/since_epoch
[ -r "$clock" ] || { echo "this machine has no hardware clock" >&2; exit 1; }
read -r begun < "$clock"
now=$begun
ends=$(( ${EPOCHREALTIME%.*} + 5 ))
while [ "$now" = "$begun" ] && [ "${EPOCHREALTIME%.*}" -lt "$ends" ]; do
  read -r now < "$clock"
done
own=$EPOCHREALTIME
late=$(( now * 1000 - ${own%.*} * 1000 - 10#${own#*.} / 1000 ))
if [ "$late" -gt 100 ] || [ "$late" -lt -100 ]; then
  date --utc --set="@$now" > /dev/null
fi
echo "$late"
"""


def step(machines: Sequence[Machine]) -> dict[str, float]:
    """Set all clocks right, side by side; returns by how many seconds each was late. Raises CommandError."""

    def one(machine: Machine) -> float:
        result = machine.run(SCRIPT, label="step the clock", timeout=SECONDS).check()
        return int(result.stdout.split()[-1]) / 1000

    with workers(len(machines)) as pool:
        return dict(zip([machine.name for machine in machines], pool.map(one, machines), strict=True))
