"""The machines as libvirt's domains: state, power, pause."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from lab.errors import LabError
from lab.providers.base import MachineState
from lab.providers.libvirt import connection as virt
from lab.waiting import wait_for

#: Seconds in which a machine shuts down in good order: systemd's own stop limit is 90, emulation is slow.
STOP_SECONDS = 150.0

#: Seconds between two pushes of the power button: a guest that boots ignores the first.
BUTTON_SECONDS = 20.0

#: Network cards of a whole machine: management and private network. Fewer: its creation was interrupted.
CARDS = 2

_STATES = {
    virt.RUNNING: MachineState.RUNNING,
    virt.BLOCKED: MachineState.RUNNING,
    virt.PAUSED: MachineState.PAUSED,
    virt.SHUTDOWN: MachineState.RUNNING,
    virt.SHUTOFF: MachineState.STOPPED,
    virt.CRASHED: MachineState.STOPPED,
}


def state(domain: Any) -> MachineState:
    """A domain's state; one whose memory lies on disk is SAVED."""
    found = _STATES.get(domain.state()[0], MachineState.UNKNOWN)
    if found is MachineState.STOPPED and domain.hasManagedSaveImage():
        return MachineState.SAVED
    return found


def states(connection: Any, prefix: str) -> dict[str, MachineState]:
    """The state of each domain of the lab, by its name on the hypervisor."""
    return {domain.name(): state(domain) for domain in virt.named(connection.listAllDomains(), prefix)}


def lookup(connection: Any, name: str) -> Any:
    """The domain of this name. Raises LabError when there is none."""
    try:
        return connection.lookupByName(name)
    except virt.library().libvirtError as error:
        if virt.absent(error):
            raise LabError(f"there is no machine {name}", "./inv up makes it") from error
        raise


def start(domain: Any) -> None:
    """Switch it on, or let it go on where it was saved or paused; a running one is left alone."""
    found = state(domain)
    if found is MachineState.PAUSED:
        domain.resume()
    elif found is not MachineState.RUNNING:
        domain.create()


def stop(domain: Any, deadline: float = STOP_SECONDS) -> None:
    """Push the power button and wait until it is off. Raises LabError when it still runs after ``deadline`` seconds."""
    if state(domain) is MachineState.PAUSED:
        domain.resume()  # a paused machine hears no button
    pushed = float("-inf")

    def push() -> MachineState:
        nonlocal pushed
        found = state(domain)
        if found is not MachineState.STOPPED and time.monotonic() - pushed > BUTTON_SECONDS:
            _unless_off(domain, domain.shutdown)
            pushed = time.monotonic()
        return found

    # libvirt's events need a loop of their own in another thread; a look costs a millisecond.
    wait_for(
        f"{domain.name()} to shut down",
        push,
        lambda found: found is MachineState.STOPPED,
        seconds=deadline,
        interval=0.1,
        hint="./inv power off cuts its power",
    )


def cut(domain: Any) -> None:
    """Cut the power: the guest gets no chance to write anything. One that is off stays off."""
    if state(domain) in (MachineState.RUNNING, MachineState.PAUSED, MachineState.UNKNOWN):
        _unless_off(domain, domain.destroy)


def pause(domain: Any) -> None:
    """Stop the processors of a running machine."""
    if state(domain) is MachineState.RUNNING:
        domain.suspend()


def unpause(domain: Any) -> None:
    """Let a paused machine go on."""
    if state(domain) is MachineState.PAUSED:
        domain.resume()


def whole(domain: Any) -> bool:
    """Was its creation finished? vagrant-libvirt defines the domain first and adds its network cards after that."""
    cards = ElementTree.fromstring(domain.XMLDesc()).findall("devices/interface")
    return len(cards) >= CARDS


def remove(domain: Any) -> None:
    """Cut its power and forget it, with its snapshots' records and saved memory; its disks are volumes of their own."""
    libvirt = virt.library()
    cut(domain)
    domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)


def _unless_off(domain: Any, action: Callable[[], object]) -> None:
    """Do it, unless the machine went off in this very moment."""
    try:
        action()
    except virt.library().libvirtError:
        if state(domain) is not MachineState.STOPPED:
            raise
