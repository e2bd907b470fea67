"""One step of one machine: a rendered script, and the record on the machine that it has been through it."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from lab.command import CommandError, Result
from lab.machine import Machine
from lab.timeline import Timeline

#: kubeadm's own limits add up to about ten minutes (kubelet 4, API 4, etcd 2): give up later than it does.
STEP_SECONDS = 660.0

#: Before a step: one that an interrupted run left going on the machine comes to its end first, and from now on the
#: machine has not been through this step, so that half of it never counts as the whole of an earlier one.
BEGIN = """
exec 8> /run/halab-step.lock
flock 8
rm -f /var/lib/halab/steps/{step}
"""

#: What a step wrote is on the disk before the record of it, and the record before the next step: after a power cut the
#: record tells what is there. (A container's page cache is the host's and survives its end; to sync there is to wait
#: for the whole host's disks.)
RECORD = """
set -e
to_disk() { systemd-detect-virt --quiet --container || sync "$@"; }
to_disk
mkdir -p /var/lib/halab/steps
echo "$2" > "/var/lib/halab/steps/$1"
to_disk "/var/lib/halab/steps/$1"
"""


@dataclass(frozen=True)
class Script:
    """One rendered step of one machine."""

    step: str
    node: str
    text: str

    @property
    def digest(self) -> str:
        """Tells whether a machine has been through this very text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def run_step(machine: Machine, script: Script, timeline: Timeline, env: Mapping[str, str] | None = None) -> Result:
    """Run one step, then record on the machine that it has been through it.

    ``env`` may hold secrets: it travels over stdin, so that no process list shows it.
    """
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in (env or {}).items())
    with timeline.phase(script.step, machine.name):
        result = machine.run(
            BEGIN.format(step=script.step) + exports + script.text,
            timeout=STEP_SECONDS,
            sink=lambda line: timeline.line(line, machine.name),
            label=f"step {script.step}",
        )
        if not result.ok:
            raise CommandError(
                result, f"once mended, ./inv up goes on from here; to look: ./inv ssh {machine.name}, ./inv logs"
            )
        machine.run(RECORD, [script.step, script.digest]).check()
    return result
