"""Snapshots of the whole lab or of one machine, each with memory and disk.

Of the whole lab: all machines are paused, so that they fit together, then each gets a libvirt snapshot of that name.
What tells machines that were kept together from others of that name is the moment, a word in each one's description.
A snapshot that not all machines have from one moment was interrupted, or is of single machines.
"""

from __future__ import annotations

import re
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

from lab.command import LineSink
from lab.errors import LabError, UsageError
from lab.providers.base import Kept, MachineState
from lab.providers.libvirt import connection as virt
from lab.providers.libvirt import domains

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def kept(machines: Mapping[str, Any]) -> list[Kept]:
    """Every moment that is kept, oldest first, with the machines that it is kept of. ``machines`` are all there are."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for node, domain in machines.items():
        for name, (created, moment) in _snapshots(domain).items():
            found.setdefault((name, moment), {})[node] = created
    ordered = sorted(found.items(), key=lambda item: (min(item[1].values()), item[0]))
    return [Kept(name, tuple(nodes), len(nodes) == len(machines)) for (name, _), nodes in ordered]


def names(machines: Mapping[str, Any]) -> list[str]:
    """The snapshots of the whole lab, oldest first."""
    return [one.name for one in kept(machines) if one.whole]


def save(machines: Mapping[str, Any], name: str, sink: LineSink, node: str = "") -> None:
    """Take a snapshot of all machines at one moment, or of one of them; one of that name is replaced.

    Raises UsageError for a bad name, and for one machine's that would break one of the whole lab; LabError when a
    machine is off. The machines go on whatever happens.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a snapshot", "letters, digits, '.', '_' and '-', at most 63")
    chosen = _chosen(machines, node)
    if len(chosen) < len(machines) and name in names(machines):
        raise UsageError(
            f"{name!r} is a snapshot of the whole lab: one of {node} alone in its place would break it",
            "take another name; ./inv snapshot lists those there are",
        )
    for one, domain in chosen.items():
        found = domains.state(domain)
        if found not in (MachineState.RUNNING, MachineState.PAUSED):
            raise LabError(f"{one} is {found}: a snapshot is of running machines", "./inv resume")
    moment = uuid.uuid4().hex[:12]
    with _paused(chosen):
        for domain in chosen.values():
            _forget(domain, name)
        errors = _each(chosen, lambda one, domain: _save(one, domain, name, moment, sink))
        if errors:
            raise LabError(f"no snapshot was kept of {_told(errors)}")


def restore(machines: Mapping[str, Any], name: str, sink: LineSink, node: str = "") -> None:
    """Put all machines, or one, back to where they were, each paused until all are, then let them go on together.

    Their clocks show the time of the snapshot then: step them. Raises UsageError when there is no such snapshot,
    LabError that names the machines when some could not be put back: the others stand still until it is run again.
    """
    _refuse_unknown(machines, name, node)
    chosen = _chosen(machines, node)
    errors = _each(chosen, lambda one, domain: _restore(one, domain, name, sink))
    if errors:
        done = [one for one in chosen if one not in errors]
        said = f"; restored, and paused until all are: {', '.join(done)}" if done else ""
        raise LabError(
            f"not restored: {_told(errors)}{said}", f"run restore {name}{f' --node {node}' if node else ''} again"
        )
    _go_on(chosen)


def _chosen(machines: Mapping[str, Any], node: str) -> Mapping[str, Any]:
    return {node: machines[node]} if node else machines


def _refuse_unknown(machines: Mapping[str, Any], name: str, node: str) -> None:
    """Raise UsageError, with those there are, for a snapshot that the machine, or the whole lab, does not have."""
    if node:
        own = list(_snapshots(machines[node]))
        if name not in own:
            raise UsageError(f"{node} has no snapshot {name!r}", f"there are: {', '.join(own) or 'none'}")
        return
    if name in names(machines):
        return
    lacking = [one for one, domain in machines.items() if name not in _snapshots(domain)]
    known = f"there are: {', '.join(names(machines)) or 'none'}"
    if len(lacking) == len(machines):
        raise UsageError(f"there is no snapshot {name!r}", known)
    why = (
        f"not every machine has it; missing on: {', '.join(lacking)}"
        if lacking
        else "its machines were kept at different moments"
    )
    raise UsageError(f"there is no snapshot {name!r} of the whole lab ({why})", f"{known}; --node restores one machine")


def _save(node: str, domain: Any, name: str, moment: str, sink: LineSink) -> None:
    domain.snapshotCreateXML(f"<domainsnapshot><name>{name}</name><description>{moment}</description></domainsnapshot>")
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
    running = {node: domain for node, domain in machines.items() if domains.state(domain) is MachineState.RUNNING}
    try:
        for domain in running.values():
            domains.pause(domain)
        yield
    finally:
        _go_on(running, sys.exception())


def _go_on(machines: Mapping[str, Any], before: BaseException | None = None) -> None:
    """Let all go on, whichever of them cannot. Raises LabError that names those, after what went wrong ``before``."""
    errors = _each(machines, lambda _node, domain: domains.unpause(domain))
    if errors:
        said = f"{before}\n" if before is not None else ""
        raise LabError(f"{said}still paused: {_told(errors)}", "./inv resume lets them go on")


def _each(machines: Mapping[str, Any], action: Callable[[str, Any], None]) -> dict[str, BaseException]:
    """Do it on all machines side by side; what went wrong, by machine, once all have ended."""
    with ThreadPoolExecutor(max_workers=max(1, len(machines))) as pool:
        futures = {node: pool.submit(action, node, domain) for node, domain in machines.items()}
    return {node: error for node, future in futures.items() if (error := future.exception()) is not None}


def _told(errors: Mapping[str, BaseException]) -> str:
    return ", ".join(f"{node} ({error})" for node, error in errors.items())


def _snapshots(domain: Any) -> dict[str, tuple[int, str]]:
    """A machine's snapshots by name: when (seconds since the epoch), and the moment that others were kept at too."""
    found = {}
    for snapshot in domain.listAllSnapshots():
        description = ElementTree.fromstring(snapshot.getXMLDesc())
        created = int(description.findtext("creationTime") or 0)
        found[snapshot.getName()] = created, description.findtext("description") or ""
    return dict(sorted(found.items(), key=lambda item: (item[1][0], item[0])))


def _forget(domain: Any, name: str) -> None:
    for snapshot in domain.listAllSnapshots():
        if snapshot.getName() == name:
            snapshot.delete()
