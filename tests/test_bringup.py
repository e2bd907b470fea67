"""What ``up`` refuses before it touches anything: what would half apply to a lab that is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab import bringup
from lab.bringup import Bringup
from lab.definition import load
from lab.errors import UsageError
from lab.identity import Identity
from lab.plan.site import Site
from lab.providers.base import MachineState
from lab.stage import Stage
from lab.state import State
from lab.timeline import Phase, Timeline

DEFINITION = "name: ha\nnodes: [{name: m1, role: master}, {name: w1, role: worker}]\n"


class Deaf:
    """A listener that nobody asks."""

    def begin(self, machine: str, phase: str) -> None: ...

    def line(self, machine: str, text: str) -> None: ...

    def end(self, phase: Phase) -> None: ...


@pytest.fixture
def state(tmp_path: Path) -> State:
    """A lab of containers as an earlier ``up`` left it."""
    state = State(Identity("ha", tmp_path))
    state.write("definition.yaml", DEFINITION)
    state.store_site(Site(state.identity, "lxc", payload="/cache/payload"))
    return state


def up(state: State, *, text: str = DEFINITION, wanted: str = "auto", refresh: bool = False) -> Bringup:
    source = state.folder.parent / "wanted.yaml"
    source.write_text(text)
    return Bringup(load(source), source, state, wanted, Stage.WORKERS, Timeline(Deaf()), refresh)


def with_machines(monkeypatch: pytest.MonkeyPatch, states: Mapping[str, MachineState]) -> None:
    lab = SimpleNamespace(provider=SimpleNamespace(states=lambda: dict(states)))
    monkeypatch.setattr(bringup, "assemble", lambda *_: lab)


@pytest.mark.parametrize("refresh", [False, True])
def test_another_provider_is_refused(state: State, refresh: bool) -> None:
    with pytest.raises(UsageError, match="exists with provider lxc, not libvirt"):
        up(state, wanted="libvirt", refresh=refresh).run()


def test_machines_do_not_get_their_box_changed_below_their_feet(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    with_machines(monkeypatch, {"m1": MachineState.STOPPED, "w1": MachineState.ABSENT})
    with pytest.raises(UsageError, match="machines of lab ha are made of: m1") as caught:
        up(state, refresh=True).run()
    assert "./inv destroy --lab ha" in caught.value.hint


def test_without_machines_all_is_built_anew(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    with_machines(monkeypatch, {"m1": MachineState.ABSENT, "w1": MachineState.ABSENT})
    asked: list[bool] = []

    def make_site(*_: object, refresh: bool) -> Site:
        asked.append(refresh)
        raise UsageError("far enough")

    monkeypatch.setattr(bringup, "make_site", make_site)
    with pytest.raises(UsageError, match="far enough"):
        up(state, refresh=True).run()
    assert asked == [True]


def test_another_shape_is_refused_by_the_part_that_changed(state: State) -> None:
    with pytest.raises(UsageError, match="exists with another definition: nodes changed"):
        up(state, text=DEFINITION.replace("w1", "w2")).run()
