"""``./inv halt``, ``resume``, ``power``, ``snapshot`` and ``restore``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from lab import console
from lab.cli.tables import machines_table
from lab.context import Lab, open_lab
from lab.errors import UsageError
from lab.operations import snapshots
from lab.operations.changing import alone_with
from lab.power import halt as halt_lab
from lab.power import resume as resume_lab
from lab.power import switch
from lab.providers.base import Kept
from lab.timeline import Timeline


def halt(name: str, definition: str) -> None:
    """Shut the whole lab down in good order."""
    with _alone(name, definition) as lab, console.Progress(f"lab {lab.identity.name}: halt") as progress:
        timeline = Timeline(progress)
        stopped = halt_lab(lab, timeline)
    console.say(
        f"{len(stopped)} machines off; {timeline.elapsed:.1f} s. ./inv resume switches them on again", "green bold"
    )


def resume(name: str, definition: str) -> None:
    """Switch the whole lab on and wait until it is healthy."""
    with _alone(name, definition) as lab, console.Progress(f"lab {lab.identity.name}: resume") as progress:
        timeline = Timeline(progress)
        status, started = resume_lab(lab, timeline)
    console.table(f"Lab {lab.identity.name} ({lab.provider.name})", *machines_table(status))
    console.say("")
    console.say(f"healthy; {len(started)} machines switched on; {timeline.elapsed:.1f} s", "green bold")


def power(name: str, definition: str, action: str, node: str) -> None:
    """Cut one machine's power, or switch it on."""
    if action not in ("on", "off"):
        raise UsageError(f"power {action}: no such action", "./inv power off NODE, or ./inv power on NODE")
    with (
        _alone(name, definition) as lab,
        console.Progress(f"lab {lab.identity.name}: power {action} {node}") as progress,
    ):
        switch(lab, node, action == "on", Timeline(progress))
    console.say(f"{node} is {action}", "green bold")


def snapshot(name: str, definition: str, label: str, node: str) -> None:
    """Keep the whole lab, or one machine, memory and disks, as it is at one moment; without a label list what is kept.

    Raises UsageError where the provider takes no snapshots and for a machine that does not exist.
    """
    if not label:
        lab = open_lab(name, definition)
        _list(lab, snapshots.taken(lab, node), node)
        return
    with _alone(name, definition) as lab, console.Progress(_title(lab, "snapshot", label, node)) as progress:
        timeline = Timeline(progress)
        snapshots.take(lab, label, node, timeline)
    console.say(f"snapshot {_shown(label, node)} kept; {timeline.elapsed:.1f} s", "green bold")


def restore(name: str, definition: str, label: str, node: str) -> None:
    """Put the whole lab, or one machine, back; says so only once quorum, leases and VIP were seen to be well."""
    with _alone(name, definition) as lab, console.Progress(_title(lab, "restore", label, node)) as progress:
        timeline = Timeline(progress)
        snapshots.put_back(lab, label, node, timeline, console.warn)
    console.say(f"restored {_shown(label, node)}; {timeline.elapsed:.1f} s", "green bold")


def _alone(name: str, definition: str) -> AbstractContextManager[Lab]:
    return alone_with(name, definition, console.warn)


def _shown(label: str, node: str) -> str:
    return f"{label} of {node}" if node else label


def _title(lab: Lab, verb: str, label: str, node: str) -> str:
    return f"lab {lab.identity.name}: {verb} {_shown(label, node)}"


def _list(lab: Lab, found: Sequence[Kept], node: str) -> None:
    """A row a moment that is kept: its name, and which machines it is of."""
    if not found:
        of = node or f"lab {lab.identity.name}"
        console.say(f"no snapshots of {of}; ./inv snapshot NAME [--node NODE] takes one")
        return
    rows = [[kept.name, "the whole lab" if kept.whole else ", ".join(kept.nodes)] for kept in found]
    console.table(f"Lab {lab.identity.name}", ["snapshot", "of"], rows)
