"""What interrupted or hand-deleted labs leave behind, and how the next ``up`` mends it. By the lab's own names only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from lab.command import LineSink, Note
from lab.errors import LabError
from lab.identity import Identity
from lab.plan.virtual import Virtual
from lab.providers.libvirt import connection as virt
from lab.providers.libvirt import domains, networks, volumes
from lab.providers.libvirt.daemon import Daemon


class Repair(StrEnum):
    """What to do about one machine before Vagrant is asked for it."""

    NOTHING = "nothing"
    ADOPT = "tell Vagrant of it"
    REMOVE = "remove what there is"
    FORGET = "let Vagrant forget it"


@dataclass(frozen=True)
class Found:
    """What there is of one machine: Vagrant's note of its domain, the domain itself, is it whole, its disk."""

    noted: str
    domain: str
    whole: bool
    disk: bool


def repair(found: Found) -> tuple[Repair, str]:
    """What to do, and what happened (in words)."""
    if not found.domain:
        if found.disk:
            return Repair.REMOVE, "a disk without a machine (an interrupted up left it)"
        if found.noted:
            return Repair.FORGET, "Vagrant knows a machine that is gone"
        return Repair.NOTHING, ""
    if not found.whole or not found.disk:
        return Repair.REMOVE, "a half-made machine (an interrupted up left it)"
    if found.noted != found.domain:
        return Repair.ADOPT, "a machine that Vagrant does not know (its folder .vagrant was removed)"
    return Repair.NOTHING, ""


@dataclass(frozen=True)
class Notes:
    """Vagrant's own record of machines: one file a machine with its domain's UUID."""

    folder: Path

    def file(self, node: str) -> Path:
        """Where Vagrant keeps the UUID."""
        return self.folder / "machines" / node / "libvirt" / "id"

    def read(self, node: str) -> str:
        """The noted UUID, "" without a note."""
        try:
            return self.file(node).read_text().strip()
        except FileNotFoundError:
            return ""

    def write(self, node: str, uuid: str) -> None:
        """Note a UUID."""
        self.file(node).parent.mkdir(parents=True, exist_ok=True)
        self.file(node).write_text(uuid)

    def forget(self, node: str) -> None:
        """Remove the note."""
        self.file(node).unlink(missing_ok=True)


def mend(connection: Any, virtual: Virtual, nodes: Sequence[str], notes: Notes, sink: LineSink) -> None:
    """Bring each machine's domain, disk and Vagrant's note into agreement, saying what was done."""
    prefix = virtual.identity.prefix
    found_domains = {domain.name(): domain for domain in virt.named(connection.listAllDomains(), prefix)}
    disks = {volume.name(): volume for volume in volumes.mine(connection, prefix)}
    for node in nodes:
        domain = found_domains.get(virtual.identity.machine(node))
        disk = disks.get(virtual.volume(node))
        found = Found(
            noted=notes.read(node),
            domain=domain.UUIDString() if domain is not None else "",
            whole=domain is not None and domains.whole(domain),
            disk=disk is not None,
        )
        action, why = repair(found)
        if action is Repair.NOTHING:
            continue
        sink(Note(f"{node}: {why}: {action.value}"))
        if action is Repair.ADOPT:
            notes.write(node, found.domain)
        else:
            notes.forget(node)
        if action is Repair.REMOVE:
            if domain is not None:
                domains.remove(domain)
            if disk is not None:
                disk.delete()


def purge(connection: Any, prefix: str) -> list[str]:
    """Remove all that this libvirt has of the lab: machines with their snapshots, disks, networks with their leases."""
    found = virt.named(connection.listAllDomains(), prefix)
    with ThreadPoolExecutor(max_workers=max(1, len(found))) as pool:
        for future in [pool.submit(domains.remove, domain) for domain in found]:
            future.result()
    removed = [f"machine {domain.name()}" for domain in found]
    nets = virt.named(connection.listAllNetworks(), prefix)
    # The networks go last, so that they tell an interrupted purge's successor to look for disks in a stopped pool.
    with volumes.running(connection) if found or nets else nullcontext():
        removed += volumes.remove(volumes.mine(connection, prefix))
    removed += networks.remove(nets)
    return removed


def purge_at(daemon: Daemon, identity: Identity) -> list[str]:
    """The same on a daemon that is not the lab's own.

    Raises LabError when it does not answer: what it keeps of the lab would be forgotten.
    """
    start = "systemctl start libvirtd" + (" on its host" if daemon.kind == "remote" else "")
    hint = f"start it ({start}), then again: ./inv destroy --lab {identity.name}"
    if not daemon.running():
        raise LabError(f"libvirt at {daemon.uri} does not answer, so that nothing was removed from it", hint)
    with virt.connect(daemon.uri, hint) as connection:
        return purge(connection, identity.prefix)


def by_node(connection: Any, virtual: Virtual, nodes: Sequence[str]) -> Mapping[str, Any]:
    """The domains of these machines. Raises LabError when one is missing."""
    return {node: domains.lookup(connection, virtual.identity.machine(node)) for node in nodes}
