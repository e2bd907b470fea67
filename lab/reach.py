"""Waiting until machines can be talked to: one that runs may still be booting."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from lab.command import Result
from lab.errors import LabError
from lab.machine import Machine
from lab.waiting import WaitTimeout, wait_for

#: Seconds from power-on to a working ssh: 2 for a container, 15 with KVM, 30 to 90 for one of four emulated machines on
#: two cores (measured), several times that when the host is busy with other things too.
REACH_SECONDS = 300.0

#: Seconds for one attempt: its own connection attempts end earlier, unless the machine is frozen.
ATTEMPT_SECONDS = 60.0


def wait_reachable(machines: Iterable[Machine], seconds: float = REACH_SECONDS) -> None:
    """Return once every machine runs commands; raises LabError that names the first that does not, and why."""

    def one(machine: Machine) -> None:
        def attempt() -> Result | LabError:
            try:
                return machine.run("true", timeout=ATTEMPT_SECONDS, label="first contact").check()
            except LabError as error:
                return error

        try:
            wait_for(
                f"{machine.name} to answer over ssh", attempt, lambda seen: isinstance(seen, Result), seconds=seconds
            )
        except WaitTimeout as error:
            raise LabError(
                f"{machine.name} runs, but does not answer over ssh after {seconds:.0f} s: {error.last}",
                "a virtual machine's console: .lab/*/libvirt/log/qemu; ./inv power off and on starts it afresh",
            ) from error

    asked = list(machines)
    with ThreadPoolExecutor(max_workers=max(1, len(asked))) as pool:
        for future in [pool.submit(one, machine) for machine in asked]:
            future.result()
