"""Switching a whole lab, or one machine, off and on; and snapshots where the provider can."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from lab.cluster.status import Status
from lab.context import Lab
from lab.errors import LabError, UsageError
from lab.faults.ledger import heal_machines, heal_open
from lab.health import RESUME_SECONDS, settle
from lab.interrupts import Open, held, unbroken
from lab.machine import Machine
from lab.parallel import gather, workers
from lab.providers.base import STOOD_STILL, Capability, MachineState, Snapshots
from lab.providers.libvirt import clocks
from lab.reach import wait_reachable
from lab.stage import Stage
from lab.timeline import Timeline


def halt(lab: Lab, timeline: Timeline) -> list[str]:
    """Shut all machines down in good order, side by side, those that stand still too; returns their names."""
    states = lab.provider.states()
    paused = [name for name, state in states.items() if state is MachineState.PAUSED]
    on = [name for name, state in states.items() if state in (MachineState.RUNNING, MachineState.PAUSED)]
    _each(paused, "unpause", lab.provider.unpause, timeline)
    for name in on:
        lab.channel.forget(name)
    _each(on, "shut down", lab.provider.stop, timeline)
    return on


def resume(lab: Lab, timeline: Timeline) -> tuple[Status, list[str]]:
    """Switch on what is off, let go on what is paused, and wait until healthy; returns what was switched on.

    Faults that an interrupted verification left open are healed first: with one the lab may never be healthy.
    """
    with timeline.phase("network"):
        lab.provider.prepare(timeline.line)
    states = lab.provider.states()
    absent = [name for name, state in states.items() if state is MachineState.ABSENT]
    if absent:
        raise LabError(f"there is no machine {', '.join(absent)}", "./inv up makes what is missing")
    paused = [name for name, state in states.items() if state is MachineState.PAUSED]
    off = [name for name, state in states.items() if state in (MachineState.STOPPED, MachineState.SAVED)]
    with clocks_held(late(lab, states)):
        _each(paused, "unpause", lab.provider.unpause, timeline)
        _each(off, "switch on", lab.provider.start, timeline)
        lab.state.write("ssh_config", lab.provider.ssh_config(), 0o600)
        wait_reachable(lab.machines.values(), lab.provider.states)
        step_clocks(lab, states, timeline)
    heal_machines(lab, timeline.line)
    stage = lab.state.stage or Stage.MACHINES
    if stage is Stage.MACHINES:
        return lab.status(), [*paused, *off]
    status = settle(lab, timeline, RESUME_SECONDS)
    heal_open(lab, timeline.line)
    return status, [*paused, *off]


def switch(lab: Lab, node: str, on: bool, timeline: Timeline) -> None:
    """Cut one machine's power, or switch it on; of one that stood still the clock is right when this returns.

    Raises UsageError for a machine that does not exist.
    """
    lab.machine(node)
    state = lab.provider.states()[node]
    if on and state is not MachineState.RUNNING:
        lab.provider.prepare(timeline.line)
        switch_on = lab.provider.unpause if state is MachineState.PAUSED else lab.provider.start
        with clocks_held(late(lab, {node: state})):
            _each([node], "switch on", switch_on, timeline)
            step_clocks(lab, {node: state}, timeline)
    elif not on and state in (MachineState.RUNNING, MachineState.PAUSED):
        lab.channel.forget(node)
        _each([node], "cut power", lab.provider.cut, timeline)


def step_clocks(lab: Lab, before: Mapping[str, MachineState], timeline: Timeline) -> None:
    """Step the clocks of the machines that stood still, by their states ``before`` they were let go on."""
    if stood := late(lab, before):
        with timeline.phase("clocks"):
            wait_reachable(stood, lab.provider.states)
            clocks.step(stood)


@contextmanager
def clocks_held(machines: Sequence[Machine]) -> Iterator[None]:
    """Inside, machines stand still, go on and have their clocks stepped: an interrupt waits until that is done.

    Nobody could tell later that a clock is late.
    """
    if not machines:
        yield
        return
    names = ", ".join(machine.name for machine in machines)
    with held(lambda: [Open(f"clocks that stood still, of {names}", "./inv halt, then ./inv resume")]), unbroken():
        yield


def late(lab: Lab, before: Mapping[str, MachineState]) -> list[Machine]:
    """The machines whose clocks are late once they go on."""
    if Capability.OWN_CLOCK not in lab.provider.capabilities:
        return []
    return [lab.machines[node] for node, state in before.items() if state in STOOD_STILL]


def snapshots(lab: Lab) -> Snapshots:
    """The provider as one that takes snapshots. Raises UsageError, with the way to one that can, where it cannot."""
    if not isinstance(lab.provider, Snapshots):
        raise UsageError(
            f"provider {lab.provider.name} takes no snapshots: the memory of a container cannot be kept",
            "./inv halt and ./inv resume keep the disks; --provider libvirt has snapshots",
        )
    return lab.provider


def _each(nodes: Sequence[str], phase: str, act: Callable[[str], None], timeline: Timeline) -> None:
    """Do one thing to several machines side by side; every failure is waited for and told."""

    def one(node: str) -> None:
        with timeline.phase(phase, node):
            act(node)

    with workers(len(nodes)) as pool:
        gather([pool.submit(one, node) for node in nodes])
