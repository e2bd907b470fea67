"""Every kind of fault: its scripts are good, each step of its heal ends, whatever the machine does."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.command import Result
from lab.errors import LabError
from lab.faults import hands
from lab.faults.hands import MachineHands
from lab.faults.kind import Kind
from lab.faults.kinds import KINDS, kind_of
from lab.faults.spec import Fault
from lab.providers.base import Capability

EVERY = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
BY_PROVIDER = pytest.mark.parametrize("kind", [k for k in KINDS.values() if k.silences], ids=lambda kind: kind.name)


@dataclass
class FakeMachine:
    """Carries out everything, and remembers what, and how long it was given."""

    name: str = "master1"
    given: list[float | None] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)

    def run(self, script: str, args: object = (), *, timeout: float | None = 60.0, **_: object) -> Result:
        self.given.append(timeout)
        self.scripts.append(script)
        return Result("script", 0, "12.5\n0\n", "", 0.0, self.name)


def on(machines: Sequence[FakeMachine], act: Callable[[str], object] = lambda node: None) -> MachineHands:
    """Hands on these machines, whose provider does one thing whatever it is asked."""
    can = frozenset({Capability.OWN_CLOCK})
    provider = SimpleNamespace(cut=act, start=act, pause=act, unpause=act, capabilities=can)
    topology = SimpleNamespace(node=lambda name: SimpleNamespace(address="10.0.0.1"))
    lab: Any = SimpleNamespace(machines={m.name: m for m in machines}, provider=provider, topology=topology)
    return MachineHands(lab)


def fault(kind: Kind, *nodes: str) -> Fault:
    return Fault(kind.name, nodes or ("master1",))


@EVERY
def test_every_step_of_a_heal_has_a_deadline(kind: Kind) -> None:
    machine = FakeMachine()
    kind.heal(on([machine]), fault(kind))
    assert machine.given, "something was done on the machine"
    assert all(machine.given), f"without a deadline: {machine.given}"


@EVERY
def test_what_is_done_to_several_machines_is_done_and_healed_on_each(kind: Kind) -> None:
    machines, struck = [FakeMachine("m1"), FakeMachine("m2")], []
    both, with_hands = fault(kind, "m1", "m2"), on(machines, struck.append)
    kind.prepare(with_hands, both)
    moments = kind.begin(with_hands, both)
    assert set(moments) in (set(), {"m1", "m2"})
    kind.heal(with_hands, both)
    assert [bool(machine.scripts) for machine in machines] == [True, True]
    assert set(struck) in (set(), {"m1", "m2"})


def test_one_victim_that_cannot_be_healed_does_not_keep_the_other_ill() -> None:
    healed = []

    def start(node: str) -> None:
        if node == "m1":
            raise LabError("m1 is gone")
        healed.append(node)

    with pytest.raises(LabError, match="m1 is gone"):
        KINDS["power-cut"].heal(on([FakeMachine("m1"), FakeMachine("m2")], start), Fault("power-cut", ("m1", "m2")))
    assert healed == ["m2"]


@BY_PROVIDER
def test_a_provider_that_hangs_does_not_hold_a_heal_for_ever(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hands, "ACT", 0.1)
    never = threading.Event()
    try:
        with pytest.raises(LabError, match="waited 0 s for master1 to go on, which has not ended"):
            kind.heal(on([FakeMachine()], lambda node: never.wait()), fault(kind))
    finally:
        never.set()


@BY_PROVIDER
def test_what_a_provider_cannot_do_is_told_in_its_own_words(kind: Kind) -> None:
    def refuse(node: str) -> None:
        raise LabError(f"{node} is held by another one")

    for step in (kind.begin, kind.heal):
        with pytest.raises(LabError, match="master1 is held by another one"):
            step(on([FakeMachine()], refuse), fault(kind))


@EVERY
def test_the_scripts_of_faults_are_good_shell(kind: Kind) -> None:
    machine = FakeMachine()
    for step in (kind.prepare, kind.begin, kind.heal):
        step(on([machine]), fault(kind))
    for text in machine.scripts:
        if "END-OF-PROGRAM" in text:
            continue  # a program in another language
        words = ["shellcheck", "-s", "bash", "-"]
        done = subprocess.run(words, input=text, text=True, capture_output=True)
        assert done.returncode == 0, done.stdout
        enders = set(re.findall(r"\b[a-z]*kill[a-z]*\b", text))
        assert enders <= {"kill"}, "a fault ends what systemd or a number names, nothing by a pattern"


def test_kinds_by_name() -> None:
    assert kind_of("power-cut").silences and not kind_of("haproxy-stop").silences
    with pytest.raises(LabError, match="no such fault: nonsense") as caught:
        kind_of("nonsense")
    assert "power-cut" in caught.value.hint and "test-pods" not in caught.value.hint
    assert all(name == kind.name for name, kind in KINDS.items())


def test_what_is_promised_is_computed_without_anything_that_touches_a_machine() -> None:
    look = "import sys, lab.plan.show; print(*(m for m in sys.modules if m.startswith('lab.')))"
    done = subprocess.run(
        [sys.executable, "-c", look], cwd=Path(__file__).parents[2], text=True, capture_output=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "lab.faults.kinds" in loaded
    assert not loaded & {"lab.machine", "lab.faults.hands", "lab.faults.ledger", "lab.waiting"}
