"""snapshot and restore: of the whole lab or of one machine, clocks first, and nothing is called well before it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from interrupting import answered, interrupt

from lab.command import LineSink
from lab.commands import power
from lab.context import Lab
from lab.definition import parse
from lab.errors import LabError, UsageError
from lab.faults.kinds import KINDS
from lab.faults.ledger import Ledger
from lab.identity import Identity
from lab.machine import Channel, Machine
from lab.operations import changing, snapshots
from lab.plan.site import ContainerSite
from lab.providers.base import Kept
from lab.stage import Stage
from lab.state import State
from lab.topology import derive
from tests.faking import STOP, Fake


@dataclass
class Keeper:
    """A provider with snapshots; what is done to the lab is kept in ``done``, in order."""

    kept: list[Kept] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    name: str = "fake"

    def enter(self) -> tuple[str, ...]:
        return ()

    def snapshot(self, name: str, node: str, sink: LineSink) -> None:
        self.done.append(f"snapshot {name} {node}".strip())

    def restore(self, name: str, node: str, sink: LineSink) -> None:
        self.done.append(f"restore {name} {node}".strip())

    def snapshots(self) -> list[Kept]:
        return self.kept


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keeper:
    """A lab of m1, m2 and w1 with all its stages."""
    made = Keeper()
    definition = parse("nodes: [{name: m1, role: master}, {name: m2, role: master}, {name: w1, role: worker}]")
    identity = Identity("ha", tmp_path)
    lab = Lab(definition, derive(definition, driver=""), State(identity), made, ContainerSite(identity))  # type: ignore[arg-type]
    lab.state.write("stage", Stage.WORKERS)

    def step(machines: Sequence[Machine]) -> None:
        made.done.append(f"step {' '.join(machine.name for machine in machines)}")

    for module in (power, changing):
        monkeypatch.setattr(module, "open_lab", lambda name, definition: lab)
    monkeypatch.setattr(snapshots, "settle", lambda *_: made.done.append("settle"))
    monkeypatch.setattr("lab.providers.libvirt.clocks.step", step)
    monkeypatch.setattr(Channel, "forget", lambda self, machine: made.done.append(f"forget {machine}"))
    return made


Command = Callable[[str, str, str, str], None]
BOTH = pytest.mark.parametrize(("verb", "command"), [("snapshot", power.snapshot), ("restore", power.restore)])


@BOTH
def test_the_whole_lab(keeper: Keeper, verb: str, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command("", "", "one", "")
    assert keeper.done == [f"{verb} one", "forget m1", "forget m2", "forget w1", "step m1 m2 w1", "settle"]
    assert {"snapshot": "snapshot one kept; ", "restore": "restored one; "}[verb] in capsys.readouterr().out


@BOTH
def test_one_machine(keeper: Keeper, verb: str, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command("", "", "one", "w1")
    assert keeper.done == [f"{verb} one w1", "forget w1", "step w1", "settle"], (
        "its clock only, but the whole lab's health"
    )
    assert {"snapshot": "snapshot one of w1 kept", "restore": "restored one of w1"}[verb] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "order"),
    [
        (power.snapshot, ["heal", "snapshot one", "step", "settle"]),
        (power.restore, ["restore one", "step", "heal", "settle"]),
    ],
)
def test_no_fault_is_kept_and_none_comes_back(
    keeper: Keeper, command: Command, order: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, STOP.kind, KINDS[STOP.kind])
    Fake(seen=lambda: keeper.done.append("heal")).take_the_place_of()
    Ledger(tmp_path / ".lab" / "ha" / "faults.json").open(STOP)
    command("", "", "one", "")
    done = [line.removesuffix(" m1 m2 w1") for line in keeper.done if not line.startswith("forget")]
    assert done == order


@BOTH
def test_an_interrupt_waits_until_the_clocks_are_right(
    keeper: Keeper, verb: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = getattr(Keeper, verb)

    def interrupted(self: Keeper, *words: Any) -> None:
        interrupt()
        kept(self, *words)

    monkeypatch.setattr(Keeper, verb, interrupted)
    with answered(monkeypatch), pytest.raises(KeyboardInterrupt):
        command("", "", "one", "w1")
    assert keeper.done == [f"{verb} one w1", "forget w1", "step w1"]


@pytest.mark.parametrize("node", ["", "w1"])
def test_what_is_not_healthy_is_not_called_restored(
    keeper: Keeper, node: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ill(*_: Any) -> None:
        raise LabError("the lab is not healthy after 240 s")

    monkeypatch.setattr(snapshots, "settle", ill)
    with pytest.raises(LabError, match="not healthy"):
        power.restore("", "", "one", node)
    assert "restored" not in capsys.readouterr().out


@BOTH
def test_a_machine_that_does_not_exist_is_wrong_usage(keeper: Keeper, verb: str, command: Command) -> None:
    with pytest.raises(UsageError, match="no machine 'm9'"):
        command("", "", "one", "m9")
    assert keeper.done == []


@pytest.mark.parametrize(("node", "warned"), [("m1", True), ("w1", False), ("", False)])
def test_that_etcd_may_not_take_back_an_older_member_is_said_before(
    keeper: Keeper, node: str, warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    power.restore("", "", "one", node)
    assert ("the other etcd members are ahead of" in capsys.readouterr().err) == warned


def test_without_a_name_all_are_listed(keeper: Keeper, capsys: pytest.CaptureFixture[str]) -> None:
    keeper.kept = [Kept("old", ("m1", "m2", "w1"), whole=True), Kept("mine", ("w1",), whole=False)]
    power.snapshot("", "", "", "")
    listed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert listed[-2:] == [["old", "the", "whole", "lab"], ["mine", "w1"]]
    power.snapshot("", "", "", "m1")
    shown = capsys.readouterr().out
    assert "old" in shown and "mine" not in shown
    assert keeper.done == []


def test_that_there_are_none_is_said_with_how_to_take_one(keeper: Keeper, capsys: pytest.CaptureFixture[str]) -> None:
    power.snapshot("", "", "", "")
    assert capsys.readouterr().out.startswith("no snapshots of lab ha; ./inv snapshot NAME")


@pytest.mark.parametrize(("label", "node"), [("one", ""), ("one", "m1"), ("", "")])
def test_containers_take_none(keeper: Keeper, label: str, node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = power.open_lab("", "")
    container = SimpleNamespace(name="lxc", enter=lambda: ())
    other = Lab(lab.definition, lab.topology, lab.state, container, lab.site)  # type: ignore[arg-type]
    for module in (power, changing):
        monkeypatch.setattr(module, "open_lab", lambda *_: other)
    commands = (power.snapshot, power.restore) if label else (power.snapshot,)
    for command in commands:
        with pytest.raises(UsageError, match="provider lxc takes no snapshots"):
            command("", "", label, node)
