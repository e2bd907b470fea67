"""Keeping a lab, or one machine, as it is at one moment, and putting it back: where time stood still, it is told so."""

from __future__ import annotations

from collections.abc import Sequence

from lab.command import LineSink
from lab.context import Lab
from lab.faults.ledger import heal_machines, heal_open
from lab.health import RESUME_SECONDS, settle
from lab.machine import Machine
from lab.power import clocks_held, snapshots
from lab.providers.base import Kept, Snapshots
from lab.providers.libvirt import clocks
from lab.stage import Stage
from lab.timeline import Timeline


def taken(lab: Lab, node: str) -> Sequence[Kept]:
    """The moments that are kept: all, or those of one machine.

    Raises UsageError, as all here do, where the provider takes no snapshots and for a machine that does not exist.
    """
    keeper, _ = _concerned(lab, node)
    return [kept for kept in keeper.snapshots() if not node or node in kept.nodes]


def take(lab: Lab, label: str, node: str, timeline: Timeline) -> None:
    """Keep the whole lab, or one machine, memory and disks; returns once the lab is well again."""
    keeper, stopped = _concerned(lab, node)
    heal_open(lab, timeline.line)  # a snapshot would keep the fault
    with clocks_held(stopped):
        with timeline.phase("snapshot", node):
            keeper.snapshot(label, node, timeline.line)
        _step_clocks(lab, stopped, timeline)
    _settle(lab, timeline)


def put_back(lab: Lab, label: str, node: str, timeline: Timeline, warn: LineSink) -> None:
    """Put the whole lab, or one machine, back; returns once quorum, leases and VIP were seen to be well."""
    keeper, stood = _concerned(lab, node)
    # The leader remembers what a member had; one that has less then gives up at every start (etcd#13509).
    members = [member.name for member in lab.topology.etcd_members]
    if lab.kubernetes and len(members) > 1 and node in members:
        warn(
            f"the other etcd members are ahead of {node} as it was: its own may stop again and again "
            "(tocommit is out of range); the whole lab's snapshots fit together"
        )
    with clocks_held(stood):
        with timeline.phase("restore", node):
            keeper.restore(label, node, timeline.line)
        _step_clocks(lab, stood, timeline)
    _settle(lab, timeline)


def _concerned(lab: Lab, node: str) -> tuple[Snapshots, Sequence[Machine]]:
    """Who keeps the lab's snapshots, and the machines that one is of: ``node``, or all."""
    return snapshots(lab), [lab.machine(node)] if node else list(lab.machines.values())


def _step_clocks(lab: Lab, stood: Sequence[Machine], timeline: Timeline) -> None:
    """After time stood still: connections are dead, clocks are behind."""
    for machine in stood:
        lab.channel.forget(machine.name)
    with timeline.phase("clocks"):
        clocks.step(stood)


def _settle(lab: Lab, timeline: Timeline) -> None:
    """Only with right clocks may the lab be asked how it is, and only without a fault may it be well."""
    heal_machines(lab, timeline.line)
    if lab.state.stage not in (None, Stage.MACHINES):
        settle(lab, timeline, RESUME_SECONDS)
        heal_open(lab, timeline.line)
