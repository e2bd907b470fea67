"""Waiting until machines can be talked to: one that runs may still be booting."""

from __future__ import annotations

from collections.abc import Iterable

from lab.errors import LabError
from lab.machine import Machine
from lab.parallel import workers
from lab.waiting import WaitTimeout, wait_for

#: Seconds from power-on to a working ssh: 2 for a container, 15 with KVM, 30 to 90 for one of four emulated machines on
#: two cores (measured), several times that when the host is busy with other things too.
REACH_SECONDS = 300.0

#: Seconds for one attempt: its own connection attempts end earlier, unless the machine is frozen.
ATTEMPT_SECONDS = 60.0


def wait_reachable(machines: Iterable[Machine], seconds: float = REACH_SECONDS) -> None:
    """Return once every machine runs commands; raises LabError that names those that do not, and why."""
    asked = list(machines)

    def silent() -> dict[str, str]:
        # Repeated here and not in the threads, so that an interrupt ends the waiting too.
        with workers(len(asked)) as pool:
            said = list(pool.map(_trouble, asked))
        return {machine.name: trouble for machine, trouble in zip(asked, said, strict=True) if trouble}

    try:
        wait_for("the machines to answer over ssh", silent, lambda found: not found, seconds=seconds)
    except WaitTimeout as error:
        assert isinstance(error.last, dict)
        told = "\n".join(f"{name}: {trouble}" for name, trouble in error.last.items())
        raise LabError(
            f"{', '.join(error.last)} runs, but does not answer over ssh after {seconds:.0f} s\n{told}",
            "a virtual machine's console: .lab/*/libvirt/log/qemu; ./inv power off and on starts it afresh",
        ) from error


def _trouble(machine: Machine) -> str:
    """Why a machine does not run commands, "" when it does."""
    try:
        machine.run("true", timeout=ATTEMPT_SECONDS, label="first contact").check()
    except LabError as error:
        return error.message
    return ""
