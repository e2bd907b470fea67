"""Switching on what stood still: its clock is set right before anybody asks the lab how it is."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from faking import Fake
from interrupting import answered
from listening import Deaf

from lab import bringup, power
from lab.bringup import Bringup
from lab.context import Lab
from lab.definition import parse
from lab.faults import hands
from lab.faults.hands import MachineHands
from lab.faults.kinds import KINDS
from lab.faults.ledger import Ledger
from lab.faults.spec import Fault
from lab.identity import Identity
from lab.machine import Channel
from lab.plan.site import ContainerSite
from lab.providers.base import Capability, MachineState
from lab.stage import Stage
from lab.state import State
from lab.timeline import Timeline
from lab.topology import derive

PAUSED, SAVED, RUNNING, STOPPED = (
    MachineState.PAUSED,
    MachineState.SAVED,
    MachineState.RUNNING,
    MachineState.STOPPED,
)


@dataclass
class FakeProvider:
    """Has machines in the states it is told; keeps what is done to them, in order, in ``done``."""

    found: dict[str, MachineState]
    capabilities: frozenset[Capability] = frozenset({Capability.PAUSE, Capability.OWN_CLOCK})
    name: str = "fake"
    done: list[str] = field(default_factory=list)

    def enter(self) -> tuple[str, ...]:
        return ()

    def prepare(self, sink: object) -> None:
        self.done.append("prepare")

    def states(self) -> dict[str, MachineState]:
        return dict(self.found)

    def ssh_config(self) -> str:
        return ""

    def up(self, nodes: list[str], sink: object) -> None:
        self.done.append(f"up {' '.join(nodes)}")

    def start(self, node: str) -> None:
        self.done.append(f"start {node}")

    def stop(self, node: str) -> None:
        self.done.append(f"stop {node}")

    def unpause(self, node: str) -> None:
        self.done.append(f"unpause {node}")


Make = Callable[..., tuple[Lab, FakeProvider]]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A lab of m1, m2 and w1; that machines answered and that clocks were stepped is kept beside the rest."""
    monkeypatch.setattr(State, "sockets", tmp_path / "sockets")
    identity = Identity("ha", tmp_path)
    definition = parse("nodes: [{name: m1, role: master}, {name: m2, role: master}, {name: w1, role: worker}]")

    def made(found: dict[str, MachineState], **more: Any) -> tuple[Lab, FakeProvider]:
        provider = FakeProvider({"m1": RUNNING, "m2": RUNNING, "w1": RUNNING, **found}, **more)

        def note(what: str) -> Callable[..., None]:
            def noted(machines: Any, *_: object) -> None:
                provider.done.append(f"{what} {' '.join(machine.name for machine in machines)}")

            return noted

        for module in (power, bringup):
            monkeypatch.setattr(module, "wait_reachable", note("reach"))
        monkeypatch.setattr("lab.providers.libvirt.clocks.step", note("step"))
        monkeypatch.setattr(hands, "reachable", lambda machine: provider.done.append(f"reach {machine.name}"))
        return Lab(definition, derive(definition, ""), State(identity), provider, ContainerSite(identity)), provider  # type: ignore[arg-type]

    return made


def resumed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lab, "status", lambda self: None)
    power.resume(lab, Timeline(Deaf()))


def test_resume_steps_the_clocks_of_what_stood_still(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, provider = make({"m1": PAUSED, "m2": SAVED, "w1": STOPPED})
    resumed(lab, monkeypatch)
    assert provider.done.index("unpause m1") < provider.done.index("reach m1 m2")
    assert provider.done[-1] == "step m1 m2", "last of all, and not the clock of one that booted"


def test_the_lab_is_asked_how_it_is_only_after_that(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, provider = make({"w1": PAUSED})
    lab.state.write("stage", Stage.WORKERS)
    monkeypatch.setattr(power, "settle", lambda *_: provider.done.append("settle"))
    power.resume(lab, Timeline(Deaf()))
    assert provider.done[-2:] == ["step w1", "settle"]


def test_an_open_fault_is_healed_before_the_lab_must_be_well(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, provider = make({"w1": STOPPED})
    lab.state.write("stage", Stage.WORKERS)
    monkeypatch.setattr(power, "settle", lambda *_: provider.done.append("settle"))
    for kind in ("haproxy-stop", "test-pods"):
        monkeypatch.setitem(KINDS, kind, KINDS[kind])
        Ledger.of(lab.state).open(Fault(kind, ("m1",)))
        Fake(seen=lambda kind=kind: provider.done.append(f"heal {kind}")).take_the_place_of(kind)  # type: ignore[misc]
    power.resume(lab, Timeline(Deaf()))
    assert provider.done[-3:] == ["heal haproxy-stop", "settle", "heal test-pods"]


def test_a_machine_that_stands_still_is_halted_too(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, provider = make({"m1": PAUSED, "w1": STOPPED})
    monkeypatch.setattr(Channel, "forget", lambda self, machine: None)
    assert power.halt(lab, Timeline(Deaf())) == ["m1", "m2"]
    assert provider.done.index("unpause m1") < provider.done.index("stop m1")
    assert "stop m2" in provider.done
    assert "stop w1" not in provider.done


def test_clocks_that_went_on_are_left_alone(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, provider = make({"w1": STOPPED})
    resumed(lab, monkeypatch)
    assert "start w1" in provider.done
    assert not [line for line in provider.done if line.startswith("step")]


def test_containers_have_the_hosts_clock(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, provider = make({"m1": PAUSED}, capabilities=frozenset({Capability.PAUSE}))
    resumed(lab, monkeypatch)
    power.switch(lab, "m1", True, Timeline(Deaf()))
    KINDS["pause"].heal(MachineHands(lab), Fault("pause", ("m1",)))
    assert provider.done.count("unpause m1") == 3
    assert not [line for line in provider.done if line.startswith("step")]


@pytest.mark.parametrize(
    ("state", "done"),
    [
        (PAUSED, ["prepare", "unpause m1", "reach m1", "step m1"]),
        (SAVED, ["prepare", "start m1", "reach m1", "step m1"]),
        (STOPPED, ["prepare", "start m1"]),
        (RUNNING, []),
    ],
)
def test_one_machine_switched_on(make: Make, state: MachineState, done: list[str]) -> None:
    lab, provider = make({"m1": state, "m2": PAUSED})
    power.switch(lab, "m1", True, Timeline(Deaf()))
    assert provider.done == done


def test_up_steps_them_too(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, provider = make({"m1": PAUSED, "w1": STOPPED})
    Bringup(lab.definition, Path(), lab.state, "auto", Stage.MACHINES, Timeline(Deaf()))._boot(lab)
    assert provider.done == ["prepare", "up m1 w1", "reach m1 m2 w1", "reach m1", "step m1"]


def test_a_healed_pause_steps_the_clock(make: Make) -> None:
    lab, provider = make({})
    KINDS["pause"].heal(MachineHands(lab), Fault("pause", ("m2",)))
    assert provider.done[:3] == ["unpause m2", "reach m2", "step m2"]


def _switched(lab: Lab) -> None:
    power.switch(lab, "m1", True, Timeline(Deaf()))


def _resumed(lab: Lab) -> None:
    power.resume(lab, Timeline(Deaf()))


def _booted(lab: Lab) -> None:
    Bringup(lab.definition, Path(), lab.state, "auto", Stage.MACHINES, Timeline(Deaf()))._boot(lab)


@pytest.mark.parametrize("command", [_switched, _resumed, _booted])
def test_an_interrupt_waits_until_the_clock_is_right(
    make: Make, command: Callable[[Lab], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, provider = make({"m1": PAUSED})
    monkeypatch.setattr(Lab, "status", lambda self: None)
    monkeypatch.setattr(FakeProvider, "unpause", lambda self, node: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(FakeProvider, "up", lambda self, nodes, sink: signal.raise_signal(signal.SIGINT))
    with answered(monkeypatch), pytest.raises(KeyboardInterrupt):
        command(lab)
    assert provider.done[-1] == "step m1"
