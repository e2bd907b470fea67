"""``./inv halt``, ``resume``, ``power``, ``snapshot`` and ``restore``."""

from __future__ import annotations

from collections.abc import Sequence

from lab import console
from lab.commands.changing import alone_with
from lab.commands.show import machines_table
from lab.commands.verify import view
from lab.context import Lab, open_lab
from lab.errors import UsageError
from lab.health import RESUME_SECONDS, settle
from lab.machine import Machine
from lab.power import clocks_held, snapshots, switch
from lab.power import halt as halt_lab
from lab.power import resume as resume_lab
from lab.providers.base import Kept, Snapshots
from lab.stage import Stage
from lab.timeline import Timeline
from lab.verify.ledger import heal_open


def halt(name: str, definition: str) -> None:
    """Shut the whole lab down in good order."""
    with alone_with(name, definition) as lab, console.Progress(f"lab {lab.identity.name}: halt") as progress:
        timeline = Timeline(progress)
        stopped = halt_lab(lab, timeline)
    console.say(
        f"{len(stopped)} machines off; {timeline.elapsed:.1f} s. ./inv resume switches them on again", "green bold"
    )


def resume(name: str, definition: str) -> None:
    """Switch the whole lab on and wait until it is healthy."""
    with alone_with(name, definition) as lab, console.Progress(f"lab {lab.identity.name}: resume") as progress:
        timeline = Timeline(progress)
        status, started = resume_lab(lab, timeline, lambda settled: heal_open(view(lab), console.say, cluster=settled))
    console.table(f"Lab {lab.identity.name} ({lab.provider.name})", *machines_table(status))
    console.say("")
    console.say(f"healthy; {len(started)} machines switched on; {timeline.elapsed:.1f} s", "green bold")


def power(name: str, definition: str, action: str, node: str) -> None:
    """Cut one machine's power, or switch it on."""
    if action not in ("on", "off"):
        raise UsageError(f"power {action}: no such action", "./inv power off NODE, or ./inv power on NODE")
    with (
        alone_with(name, definition) as lab,
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
        keeper, _ = _concerned(lab, node)
        _list(lab, keeper.snapshots(), node)
        return
    with alone_with(name, definition) as lab, console.Progress(_title(lab, "snapshot", label, node)) as progress:
        keeper, stopped = _concerned(lab, node)
        timeline = Timeline(progress)
        heal_open(view(lab), timeline.line)  # a snapshot would keep the fault
        with clocks_held(stopped):
            with timeline.phase("snapshot", node):
                keeper.snapshot(label, node, timeline.line)
            _step_clocks(lab, stopped, timeline)
        _settled(lab, timeline)
    console.say(f"snapshot {_shown(label, node)} kept; {timeline.elapsed:.1f} s", "green bold")


def restore(name: str, definition: str, label: str, node: str) -> None:
    """Put the whole lab, or one machine, back; says so only once quorum, leases and VIP were seen to be well."""
    with alone_with(name, definition) as lab, console.Progress(_title(lab, "restore", label, node)) as progress:
        keeper, put_back = _concerned(lab, node)
        # The leader remembers what a member had; one that has less then gives up at every start (etcd#13509).
        members = [member.name for member in lab.topology.etcd_members]
        if lab.kubernetes and len(members) > 1 and node in members:
            console.warn(
                f"the other etcd members are ahead of {node} as it was: its own may stop again and again "
                "(tocommit is out of range); the whole lab's snapshots fit together"
            )
        timeline = Timeline(progress)
        with clocks_held(put_back):
            with timeline.phase("restore", node):
                keeper.restore(label, node, timeline.line)
            _step_clocks(lab, put_back, timeline)
        _settled(lab, timeline)
    console.say(f"restored {_shown(label, node)}; {timeline.elapsed:.1f} s", "green bold")


def _concerned(lab: Lab, node: str) -> tuple[Snapshots, Sequence[Machine]]:
    """Who keeps the lab's snapshots, and the machines that one is of: ``node``, or all."""
    return snapshots(lab), [lab.machine(node)] if node else list(lab.machines.values())


def _shown(label: str, node: str) -> str:
    return f"{label} of {node}" if node else label


def _title(lab: Lab, verb: str, label: str, node: str) -> str:
    return f"lab {lab.identity.name}: {verb} {_shown(label, node)}"


def _list(lab: Lab, found: Sequence[Kept], node: str) -> None:
    """A row a moment that is kept: its name, and which machines it is of (of those that are of ``node``, if given)."""
    rows = [
        [kept.name, "the whole lab" if kept.whole else ", ".join(kept.nodes)]
        for kept in found
        if not node or node in kept.nodes
    ]
    if not rows:
        console.say(
            f"no snapshots of {node or f'lab {lab.identity.name}'}; ./inv snapshot NAME [--node NODE] takes one"
        )
        return
    console.table(f"Lab {lab.identity.name}", ["snapshot", "of"], rows)


def _step_clocks(lab: Lab, stood: Sequence[Machine], timeline: Timeline) -> None:
    """After time stood still: connections are dead, clocks are behind."""
    from lab.providers.libvirt import clocks

    for machine in stood:
        lab.channel.forget(machine.name)
    with timeline.phase("clocks"):
        clocks.step(stood)


def _settled(lab: Lab, timeline: Timeline) -> None:
    """Only with right clocks may the lab be asked how it is, and only without a fault may it be well."""
    heal_open(view(lab), timeline.line, cluster=False)
    stage = lab.state.stage or Stage.MACHINES
    if stage is not Stage.MACHINES:
        settle(lab, timeline, RESUME_SECONDS)
        heal_open(view(lab), timeline.line)
