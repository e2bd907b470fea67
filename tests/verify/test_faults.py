"""Every fault's heal: each step of it ends, whatever the machine does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from lab.command import Result
from lab.errors import LabError
from lab.providers.base import Capability
from lab.verify import faults
from lab.verify.faults import MACHINE, SCRIPTS, TEST_PODS, make

EVERY = (*SCRIPTS, *MACHINE, TEST_PODS)


@dataclass
class FakeMachine:
    """Carries out everything, and remembers how long it was given."""

    name: str = "master1"
    given: list[float | None] = field(default_factory=list)

    def run(self, script: str, args: object = (), *, timeout: float | None = 60.0, **_: object) -> Result:
        self.given.append(timeout)
        return Result("script", 0, "here\n0\n", "", 0.0, self.name)


def view(machine: FakeMachine, act: Callable[[str], object] = lambda node: None) -> Any:
    """A lab of one machine, whose provider does one thing whatever it is asked."""
    provider = SimpleNamespace(
        cut=act, start=act, pause=act, unpause=act, capabilities=frozenset({Capability.OWN_CLOCK})
    )
    topology = SimpleNamespace(node=lambda name: SimpleNamespace(address="10.0.0.1"))
    return SimpleNamespace(machines={"master1": machine}, provider=provider, topology=topology)


@pytest.mark.parametrize("name", EVERY)
def test_every_step_of_a_heal_has_a_deadline(name: str) -> None:
    machine = FakeMachine()
    make(name, "master1").heal(view(machine))
    assert machine.given, "something was done on the machine"
    assert all(machine.given), f"without a deadline: {machine.given}"


@pytest.mark.parametrize("name", MACHINE)
def test_a_provider_that_hangs_does_not_hold_a_heal_for_ever(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "ACT", 0.1)
    never = threading.Event()
    try:
        with pytest.raises(LabError, match="waited 0 s for master1 to go on, which has not ended"):
            make(name, "master1").heal(view(FakeMachine(), lambda node: never.wait()))
    finally:
        never.set()


@pytest.mark.parametrize("name", MACHINE)
def test_what_a_provider_cannot_do_is_told_in_its_own_words(name: str) -> None:
    def refuse(node: str) -> None:
        raise LabError(f"{node} is held by another one")

    for step in (make(name, "master1").begin, make(name, "master1").heal):
        with pytest.raises(LabError, match="master1 is held by another one"):
            step(view(FakeMachine(), refuse))
