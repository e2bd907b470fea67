"""What ``up`` does with containers that are there already: the provider's decisions, without LXC."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from lab.command import Note, Result
from lab.identity import Identity
from lab.providers.base import MachineState
from lab.providers.lxc import LxcProvider
from lab.providers.namespace import NetworkNamespace
from lab.providers.vagrant import LabVagrant

HALF_MADE = "m1: removing the half-made container of an interrupted run"


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LxcProvider:
    """One machine m1, halted, with a file of somebody's in it, and Vagrant's note of it."""
    identity = Identity("ptest", tmp_path)
    network = NetworkNamespace(identity.namespace, IPv4Interface("192.0.2.1/24"))
    made = LxcProvider(identity, network, {"m1": "192.0.2.11"}, lxc_path=tmp_path / "lxc")
    monkeypatch.setattr(LxcProvider, "_lxc", lambda _self, verb, *_args, **_options: Result(verb, 0, "", "", 0.0))
    monkeypatch.setattr(LxcProvider, "states", lambda _: {"m1": MachineState.STOPPED})
    (folder(made) / "delta").mkdir(parents=True)
    (folder(made) / "delta" / "precious").write_text("data")
    (folder(made) / "config").write_text("lxc.uts.name = m1\n")
    note(made).parent.mkdir(parents=True)
    note(made).write_text(identity.machine("m1"))
    return made


def folder(provider: LxcProvider) -> Path:
    return provider.lxc_path / provider.identity.machine("m1")


def note(provider: LxcProvider) -> Path:
    """Where Vagrant keeps the container's name (Vagrant::Machine, vagrant/machine.rb)."""
    return provider.identity.state / ".vagrant" / "machines" / "m1" / "lxc" / "id"


@pytest.mark.parametrize("noted", [None, "", "of-another-clone"])
def test_a_halted_machine_that_vagrant_does_not_know_keeps_what_is_in_it(
    provider: LxcProvider, monkeypatch: pytest.MonkeyPatch, noted: str | None
) -> None:
    asked: list[Sequence[str]] = []
    monkeypatch.setattr(LabVagrant, "up_all", lambda _vagrant, nodes, *_: asked.append(nodes))
    if noted is None:
        shutil.rmtree(provider.identity.state / ".vagrant")
    else:
        note(provider).write_text(noted)
    told: list[str] = []
    provider.up(["m1"], told.append)
    assert (folder(provider) / "delta" / "precious").read_text() == "data"
    assert note(provider).read_text() == provider.identity.machine("m1"), "so that Vagrant starts it as it is"
    assert asked == [["m1"]]
    assert told == ["m1: a machine that Vagrant does not know (its folder .vagrant was removed): tell Vagrant of it"]
    assert isinstance(told[0], Note), "what was mended is shown for good"


def test_one_that_vagrant_knows_is_left_as_it_is(provider: LxcProvider) -> None:
    told: list[str] = []
    provider._adopt("m1", told.append)
    assert (folder(provider) / "delta" / "precious").read_text() == "data"
    assert told == []


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("half_made", ["no config", "partial"])
def test_one_that_was_never_whole_goes(provider: LxcProvider, half_made: str, noted: bool) -> None:
    if half_made == "partial":
        (folder(provider) / "partial").touch()
    else:
        (folder(provider) / "config").unlink()
    if not noted:
        note(provider).unlink()
    told: list[str] = []
    provider._adopt("m1", told.append)
    assert not folder(provider).exists()
    assert not note(provider).exists()
    assert told == [HALF_MADE]


def test_one_whose_removal_was_killed_is_never_taken_for_a_whole_one(
    provider: LxcProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", killed)
        provider._remove_container(folder(provider))
    told: list[str] = []
    provider._adopt("m1", told.append)
    assert not folder(provider).exists()
    assert told == [HALF_MADE]
