"""Snapshots of the whole lab: all machines paused, so that they fit together, then each with memory and disk.

A lab's snapshot is one libvirt snapshot of the same name on every machine. One that not all machines have was
interrupted, and is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from lab.command import LineSink
from lab.errors import LabError, UsageError
from lab.providers.base import MachineState
from lab.providers.libvirt import connection as virt
from lab.providers.libvirt import domains

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def names(machines: Mapping[str, Any]) -> list[str]:
    """The snapshots that every machine has, oldest first."""
    return _whole([_names(domain) for domain in machines.values()])


def interrupted(machines: Mapping[str, Any]) -> list[str]:
    """The snapshots that some machine has and some has not."""
    lists = [_names(domain) for domain in machines.values()]
    complete = set(_whole(lists))
    return sorted({name for found in lists for name in found} - complete)


def save(machines: Mapping[str, Any], name: str, sink: LineSink) -> None:
    """Take a snapshot of all machines at one moment; one of that name is replaced.

    Raises UsageError for a bad name, LabError when a machine is off. The machines go on whatever happens.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a snapshot", "letters, digits, '.', '_' and '-', at most 63")
    for node, domain in machines.items():
        found = domains.state(domain)
        if found not in (MachineState.RUNNING, MachineState.PAUSED):
            raise LabError(f"{node} is {found}: a snapshot is of a running lab", "./inv resume")
    with _paused(machines):
        for domain in machines.values():
            _forget(domain, name)
        _each(machines, lambda node, domain: _save(node, domain, name, sink))


def restore(machines: Mapping[str, Any], name: str, sink: LineSink) -> None:
    """Put all machines back to where they were, each paused until all are, then let them go on together.

    Their clocks show the time of the snapshot then: step them. Raises UsageError when there is no such whole snapshot.
    """
    if name not in names(machines):
        known = ", ".join(names(machines)) or "none"
        half = " (it was interrupted: not every machine has it)" if name in interrupted(machines) else ""
        raise UsageError(f"there is no snapshot {name!r}{half}", f"there are: {known}")
    _each(machines, lambda node, domain: _restore(node, domain, name, sink))
    for domain in machines.values():
        domains.unpause(domain)


def delete(machines: Mapping[str, Any], name: str) -> None:
    """Forget a snapshot on every machine that has it."""
    for domain in machines.values():
        _forget(domain, name)


def _save(node: str, domain: Any, name: str, sink: LineSink) -> None:
    domain.snapshotCreateXML(f"<domainsnapshot><name>{name}</name></domainsnapshot>")
    sink(f"{node}: saved")


def _restore(node: str, domain: Any, name: str, sink: LineSink) -> None:
    libvirt = virt.library()
    snapshot = domain.snapshotLookupByName(name)
    domain.revertToSnapshot(
        snapshot, libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED | libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE
    )
    sink(f"{node}: restored")


@contextmanager
def _paused(machines: Mapping[str, Any]) -> Iterator[None]:
    """Pause all; afterwards let go on those that ran before, also after an error or Ctrl-C."""
    running = [domain for domain in machines.values() if domains.state(domain) is MachineState.RUNNING]
    try:
        for domain in running:
            domains.pause(domain)
        yield
    finally:
        for domain in running:
            domains.unpause(domain)


def _each(machines: Mapping[str, Any], action: Callable[[str, Any], None]) -> None:
    """Do it on all machines side by side; the first error is raised once all have ended."""
    with ThreadPoolExecutor(max_workers=max(1, len(machines))) as pool:
        for future in [pool.submit(action, node, domain) for node, domain in machines.items()]:
            future.result()


def _names(domain: Any) -> list[str]:
    """A machine's snapshots, oldest first."""
    found = {snapshot.getName(): snapshot for snapshot in domain.listAllSnapshots()}
    return sorted(found, key=lambda name: (_created(found[name]), name))


def _created(snapshot: Any) -> int:
    match = re.search(r"<creationTime>(\d+)</creationTime>", snapshot.getXMLDesc())
    return int(match.group(1)) if match else 0


def _whole(lists: Sequence[Sequence[str]]) -> list[str]:
    if not lists:
        return []
    return [name for name in lists[0] if all(name in other for other in lists[1:])]


def _forget(domain: Any, name: str) -> None:
    for snapshot in domain.listAllSnapshots():
        if snapshot.getName() == name:
            snapshot.delete()
