"""Waiting until machines can be talked to: one that runs may still be booting. What waiting cannot mend ends it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from lab.command import CommandError
from lab.errors import LabError
from lab.machine import Machine
from lab.parallel import workers
from lab.providers.base import MachineState
from lab.waiting import WaitTimeout, wait_for

#: Seconds from power-on to a working ssh: 2 for a container, 15 with KVM, 30 to 90 for one of four emulated machines on
#: two cores (measured), several times that when the host is busy with other things too.
REACH_SECONDS = 300.0

#: Seconds for one attempt: its own connection attempts end earlier, unless the machine is frozen.
ATTEMPT_SECONDS = 60.0

#: Seconds between two looks at whether a silent machine still runs: the look itself costs a machine's boot some time.
STATE_SECONDS = 2.0

#: What ssh, sudo and the way into the lab's network say where a later attempt will be told the same, and what to do.
#: (A refused or silent connection may only mean that the machine is still booting.)
FINAL: Mapping[re.Pattern[str], str] = {
    re.compile(r"bad configuration options$|^command-line|^Can't open user config file|_expand: ", re.MULTILINE): (
        "ssh cannot work with the lab's ssh_config: report this as a fault of the program"
    ),
    re.compile(r"ControlPath too long"): "the sockets of ssh need a short path: set XDG_RUNTIME_DIR to a shorter one",
    re.compile(r"Permission denied \("): (
        "the machine does not take the lab's key: ./inv destroy, then ./inv up makes it anew; a public box must take "
        "Vagrant's"
    ),
    re.compile(r"Host key verification failed"): "log in to that host by hand once, so that ssh knows its key",
    re.compile(r"^sudo: (?!unable to resolve)", re.MULTILINE): (
        "Vagrant's user in the box must be allowed to use sudo without a password"
    ),
    re.compile(r"^nsenter: ", re.MULTILINE): "the lab's network is gone: ./inv resume makes it again",
}

#: A shell's own statuses for a program that is not there, or may not be run (POSIX, Shell Command Language, 2.8.2).
NO_PROGRAM = (126, 127)

States = Callable[[], Mapping[str, MachineState]]


@dataclass(frozen=True)
class Trouble:
    """Why a machine does not run commands. With ``final`` waiting changes nothing; ``hint`` says what does."""

    words: str
    final: bool = False
    hint: str = ""


def wait_reachable(machines: Iterable[Machine], states: States, seconds: float = REACH_SECONDS) -> None:
    """Return once every machine runs commands; ``states`` tells which machines run at all.

    Raises LabError that names those that do not, and why: at once where that will not change, else after ``seconds``.
    """
    asked = list(machines)
    looked = time.monotonic()

    def silent() -> dict[str, Trouble]:
        nonlocal looked
        # Repeated here and not in the threads, so that an interrupt ends the waiting too.
        with workers(len(asked)) as pool:
            said = list(pool.map(_trouble, asked))
        found = {machine.name: trouble for machine, trouble in zip(asked, said, strict=True) if trouble is not None}
        if found and time.monotonic() - looked >= STATE_SECONDS:
            found |= _stopped(found, states())
            looked = time.monotonic()
        return found

    try:
        found = wait_for(
            "the machines to answer over ssh",
            silent,
            lambda found: not found or any(trouble.final for trouble in found.values()),
            seconds=seconds,
        )
    except WaitTimeout as error:
        assert isinstance(error.last, dict)
        names, after = ", ".join(error.last), f"{error.seconds:.0f} s"
        raise LabError(
            f"{names} runs, but does not answer over ssh after {after}\n{_told(error.last)}",
            "a virtual machine's console: .lab/*/libvirt/log/qemu; ./inv power off and on starts it afresh",
        ) from error
    if hopeless := {name: trouble for name, trouble in found.items() if trouble.final}:
        hints = dict.fromkeys(trouble.hint for trouble in hopeless.values())
        raise LabError(
            f"{', '.join(hopeless)}: no answer over ssh, and waiting will not bring one\n{_told(hopeless)}",
            "; ".join(hints),
        )


def _trouble(machine: Machine) -> Trouble | None:
    """Why a machine does not run commands, None when it does."""
    try:
        machine.run("true", timeout=ATTEMPT_SECONDS, label="first contact").check()
    except CommandError as error:
        return judged(error)
    except LabError as error:  # the command could not even be started
        return Trouble(error.message, final=True, hint=error.hint)
    return None


def judged(error: CommandError) -> Trouble:
    """What an attempt that failed means. Pure."""
    said = error.result.stderr
    if error.result.status in NO_PROGRAM:
        return Trouble(error.message, final=True, hint="a program is missing: run ./inv doctor")
    hint = next((hint for pattern, hint in FINAL.items() if pattern.search(said)), "")
    return Trouble(error.message, final=bool(hint), hint=hint)


def _stopped(silent: Mapping[str, Trouble], states: Mapping[str, MachineState]) -> dict[str, Trouble]:
    """Of the silent machines those that run no longer."""
    return {
        name: Trouble(
            f"it runs no longer ({states[name]}); {silent[name].words}",
            final=True,
            hint="./inv logs gathers what is needed to find out why; ./inv up switches it on again",
        )
        for name in silent
        if states.get(name, MachineState.RUNNING) in (MachineState.STOPPED, MachineState.ABSENT)
    }


def _told(troubles: Mapping[str, Trouble]) -> str:
    return "\n".join(f"{name}: {trouble.words}" for name, trouble in troubles.items())
