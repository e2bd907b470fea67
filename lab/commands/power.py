"""``./inv halt``, ``resume``, ``power``, ``snapshot`` and ``restore``."""

from __future__ import annotations

from lab import console
from lab.commands.show import machines_table
from lab.commands.verify import view
from lab.context import Lab, open_lab
from lab.errors import UsageError
from lab.health import RESUME_SECONDS, settle
from lab.power import halt as halt_lab
from lab.power import resume as resume_lab
from lab.power import snapshots, switch
from lab.stage import Stage
from lab.timeline import Timeline
from lab.verify.ledger import heal_open


def halt(name: str, definition: str) -> None:
    """Shut the whole lab down in good order."""
    lab = open_lab(name, definition)
    with lab.state.lock(), console.Progress(f"lab {lab.identity.name}: halt") as progress:
        timeline = Timeline(progress)
        stopped = halt_lab(lab, timeline)
    console.say(
        f"{len(stopped)} machines off; {timeline.elapsed:.1f} s. ./inv resume switches them on again", "green bold"
    )


def resume(name: str, definition: str) -> None:
    """Switch the whole lab on and wait until it is healthy."""
    lab = open_lab(name, definition)
    with lab.state.lock(), console.Progress(f"lab {lab.identity.name}: resume") as progress:
        timeline = Timeline(progress)
        status, started = resume_lab(lab, timeline)
        heal_open(view(lab), console.say)
    console.table(f"Lab {lab.identity.name} ({lab.provider.name})", *machines_table(status))
    console.say("")
    console.say(f"healthy; {len(started)} machines switched on; {timeline.elapsed:.1f} s", "green bold")


def power(name: str, definition: str, action: str, node: str) -> None:
    """Cut one machine's power, or switch it on."""
    if action not in ("on", "off"):
        raise UsageError(f"power {action}: no such action", "./inv power off NODE, or ./inv power on NODE")
    lab = open_lab(name, definition)
    with lab.state.lock(), console.Progress(f"lab {lab.identity.name}: power {action} {node}") as progress:
        switch(lab, node, action == "on", Timeline(progress))
    console.say(f"{node} is {action}", "green bold")


def snapshot(name: str, definition: str, label: str) -> None:
    """Keep the whole lab, memory and disks, as it is at one moment."""
    lab = open_lab(name, definition)
    keeper = snapshots(lab)
    with lab.state.lock(), console.Progress(f"lab {lab.identity.name}: snapshot {label}") as progress:
        timeline = Timeline(progress)
        with timeline.phase("snapshot"):
            keeper.snapshot(label, timeline.line)
        _settled(lab, timeline)
    console.say(f"snapshot {label} kept; {timeline.elapsed:.1f} s", "green bold")


def restore(name: str, definition: str, label: str) -> None:
    """Put the whole lab back to a snapshot; says so only once quorum, leases and VIP were seen to be well."""
    lab = open_lab(name, definition)
    keeper = snapshots(lab)
    with lab.state.lock(), console.Progress(f"lab {lab.identity.name}: restore {label}") as progress:
        timeline = Timeline(progress)
        with timeline.phase("restore"):
            keeper.restore(label, timeline.line)
        _settled(lab, timeline)
    console.say(f"restored {label}; {timeline.elapsed:.1f} s", "green bold")


def _settled(lab: Lab, timeline: Timeline) -> None:
    """After time stood still: connections are dead, clocks are behind, and only then may the lab be asked how it is."""
    from lab.providers.libvirt import clocks

    for machine in lab.machines.values():
        lab.channel.forget(machine.name)
    with timeline.phase("clocks"):
        clocks.step(list(lab.machines.values()))
    stage = lab.state.stage or Stage.MACHINES
    if stage is not Stage.MACHINES:
        settle(lab, timeline, RESUME_SECONDS)
