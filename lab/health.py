"""Waiting until the lab says of itself that it is healthy."""

from __future__ import annotations

from lab.cluster.status import Status
from lab.context import Lab
from lab.errors import LabError
from lab.timeline import Timeline
from lab.waiting import WaitTimeout, wait_for

#: Seconds that a lab whose steps have all run is given to settle (leases, haproxy's checks, a node's first heartbeat).
SETTLE_SECONDS = 90.0

#: Seconds for a whole lab that was just switched on: machines boot, static pods start, etcd elects, leases move.
RESUME_SECONDS = 240.0


def settle(lab: Lab, timeline: Timeline, seconds: float = SETTLE_SECONDS) -> Status:
    """Return the first healthy status; raises LabError with every problem that is left after ``seconds``."""
    with timeline.phase("healthy"):
        try:
            return wait_for(
                "a healthy lab",
                lab.status,
                lambda status: status.healthy,
                seconds=seconds,
                interval=0.5,
            )
        except WaitTimeout as error:
            assert isinstance(error.last, Status)
            wrong = "\n".join(f"  - {problem}" for problem in error.last.problems)
            raise LabError(
                f"the lab is not healthy after {error.seconds:.0f} s:\n{wrong}",
                "./inv status shows it live, ./inv logs gathers what is needed to find out why",
            ) from error
