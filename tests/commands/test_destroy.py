"""destroy removes what ``up`` made, keeps what a person may want, and never reaches out of the lab's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import context
from lab.command import LineSink
from lab.commands import destroy
from lab.context import find, open_lab
from lab.errors import LabError, UsageError
from lab.faults.ledger import Ledger, still_open
from lab.faults.spec import Fault
from lab.identity import Identity
from lab.operations import removal
from lab.plan.site import ContainerSite, VirtualSite
from lab.providers import choice
from lab.providers.libvirt import daemon
from lab.providers.remains import Remains
from lab.state import State

DEFINITION = "name: ha\nnodes: [{name: m1, role: master}]\n"


class FakeProvider:
    """Has one machine until it is removed; a removal may be interrupted."""

    def __init__(self, trouble: str = "") -> None:
        self.trouble = trouble
        self.there = ["container m1"]

    def remove_all(self, sink: LineSink) -> list[str]:
        if self.trouble:
            raise LabError(self.trouble)
        removed, self.there = self.there, []
        return removed


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeProvider:
    made = FakeProvider()
    monkeypatch.setattr(choice, "make", lambda *_: made)
    monkeypatch.setattr(context, "FOLDER", tmp_path)
    monkeypatch.setattr(State, "sockets", tmp_path / "sockets")
    monkeypatch.setattr(daemon, "listening", lambda: False)
    return made


@pytest.fixture
def state(provider: FakeProvider, tmp_path: Path) -> State:
    """A lab as ``up`` leaves it."""
    state = State(Identity("ha", tmp_path))
    state.write("definition.yaml", DEFINITION)
    state.store_site(ContainerSite(state.identity))
    state.write("kubeconfig", "secret", 0o600)
    state.write("ssh_config", "Host m1")
    state.write("vagrant/insecure_private_key", "key")
    state.write("Vagrantfile", "rendered")
    state.write("runs/1-up/phases.json", "{}")
    return state


def names(state: State) -> set[str]:
    return {file.name for file in state.folder.iterdir()}


def test_it_keeps_runs_and_rendered_files_and_no_credential(state: State, provider: FakeProvider) -> None:
    (state.folder / ".kubeconfig.new").write_text("the write of it was killed")
    destroy.run("ha", "", everything=False)
    assert provider.there == []
    assert names(state) - {"lock"} == {"definition.yaml", "Vagrantfile", "runs"}


def test_a_second_one_is_no_error(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    destroy.run("ha", "", everything=False)
    destroy.run("ha", "", everything=False)
    destroy.run("ha", "", everything=True)
    destroy.run("ha", "", everything=True)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("lab ha: removed in ")
    assert said[1] == "lab ha: nothing to remove"
    assert said[3] == "lab ha: nothing to remove"
    assert not state.folder.exists()


def test_an_open_fault_is_forgotten_and_that_is_said(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    Ledger(state.folder / "faults.json").open(Fault("pause", ("m1",)))
    state.borrow_settings("article")
    destroy.run("ha", "", everything=False)
    said = capsys.readouterr().out
    assert "forgotten with the lab, and not healed: pause on m1" in said
    assert "forgotten with the lab, and not healed: the load balancer of article" in said
    assert still_open(state) == []


def test_one_that_failed_can_be_begun_again(state: State, provider: FakeProvider) -> None:
    provider.trouble = "m1 still runs"
    with pytest.raises(LabError, match="m1 still runs"):
        destroy.run("ha", "", everything=True)
    assert state.load_site() is not None, "what it is made of is still known"
    provider.trouble = ""
    destroy.run("ha", "", everything=True)
    assert provider.there == []


def test_another_command_at_work_is_waited_for_by_the_person(state: State, provider: FakeProvider) -> None:
    with state.lock(), pytest.raises(LabError, match="another command is changing lab ha"):
        destroy.run("ha", "", everything=True)
    assert provider.there


@pytest.mark.parametrize("name", ["..", "../..", ".", "/"])
def test_it_never_leaves_the_labs_folder(state: State, name: str) -> None:
    with pytest.raises(UsageError):
        destroy.run(name, "", everything=True)
    assert state.folder.exists()


def test_a_lab_is_found_by_its_name_else_by_its_definitions(provider: FakeProvider, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(DEFINITION.replace("ha", "mine"))
    assert find("b", "").identity.name == "b"
    assert find("", str(tmp_path / "mine.yaml")).identity.name == "mine"
    assert find("b", str(tmp_path / "mine.yaml")).identity.name == "b"


def test_a_lab_that_is_not_there_is_said_with_those_that_are(state: State) -> None:
    with pytest.raises(LabError, match="there is no lab workshop") as caught:
        open_lab("workshop")
    assert "labs here: ha" in caught.value.hint


def test_a_lab_is_opened_as_it_was_made(state: State) -> None:
    assert [node.name for node in open_lab("ha").topology.nodes] == ["m1"]


@pytest.mark.parametrize("everything", [False, True])
def test_a_moved_clone_removes_nothing(
    state: State, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, everything: bool
) -> None:
    """By its new names it finds no machine, and the folder is all that still tells the old ones."""
    asked: list[Remains] = []
    monkeypatch.setattr(Remains, "remove_all", lambda remains, _: asked.append(remains))
    moved = State(Identity("ha", tmp_path / "moved"))
    before = names(state)
    moved.folder.parent.mkdir(parents=True)
    state.folder.rename(moved.folder)
    monkeypatch.setattr(context, "FOLDER", tmp_path / "moved")
    with pytest.raises(LabError, match="it was moved"):
        destroy.run("ha", "", everything=everything)
    with pytest.raises(LabError, match="it was moved"):
        open_lab("ha")
    assert (provider.there, asked) == (["container m1"], [])
    assert names(moved) - {"lock"} == before


@pytest.mark.parametrize("damaged", ["", "definition.yaml"])
def test_a_libvirt_that_does_not_answer_keeps_its_lab_known(
    state: State, monkeypatch: pytest.MonkeyPatch, damaged: str
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(context, "FOLDER", state.identity.folder)
    monkeypatch.setattr(daemon, "listening", lambda: False)
    state.store_site(VirtualSite(state.identity, "kvm"))
    state.write("stage", "machines")
    if damaged:
        state.write(damaged, "{")
    before = names(state)
    with pytest.raises(LabError, match="qemu:///system does not answer") as caught:
        destroy.run("ha", "", everything=True)
    assert "systemctl start libvirtd" in caught.value.hint
    assert "./inv destroy --lab ha" in caught.value.hint
    assert names(state) == before | {"lock"}


@pytest.mark.parametrize("damaged", ["site.json", "definition.yaml"])
def test_a_damaged_lab_is_looked_for_by_its_name_with_what_can_be_read(
    state: State, monkeypatch: pytest.MonkeyPatch, damaged: str
) -> None:
    asked: list[Remains] = []

    def remove_all(self: Remains, sink: LineSink) -> list[str]:
        asked.append(self)
        return ["machine m1"]

    monkeypatch.setattr(Remains, "remove_all", remove_all)
    state.write(damaged, "{")
    said: list[str] = []
    assert removal.remove(state, said.append) == ["machine m1"]
    assert len(said) == 1
    assert damaged in said[0]
    (remains,) = asked
    assert remains.identity == state.identity
    assert (remains.site is None, remains.definition is None) == (damaged == "site.json", damaged != "site.json")
    assert state.load_site() is None
