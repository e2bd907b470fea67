"""Which provider a host gets, and why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.commands import up
from lab.definition import DefinitionError, parse
from lab.errors import LabError
from lab.identity import Identity
from lab.plan.show import overview, risks
from lab.plan.site import ContainerSite, undecided
from lab.providers import choice
from lab.providers.vagrant import LabVagrant, environment
from lab.state import State
from lab.topology import derive

NODES = "nodes: [{name: m1, role: master}, {name: w1, role: worker}]\n"
PLAIN = parse(NODES)

#: What only virtual machines have, as a definition sets it, and the field that the reason names.
VIRTUAL = {
    "libvirt: {uri: 'qemu+ssh://far/system'}": "libvirt.uri qemu+ssh://far/system",
    "libvirt: {driver: qemu}": "libvirt.driver qemu",
    "libvirt: {driver: kvm}": "libvirt.driver kvm",
    "machine: {box: {name: debian/bookworm64, version: '12'}}": "machine.box.name debian/bookworm64",
}


def test_what_was_asked_for_is_taken() -> None:
    assert choice.choose("lxc", PLAIN) == choice.Choice("lxc", "asked for")
    assert choice.choose("libvirt", PLAIN) == choice.Choice("libvirt", "asked for")


@pytest.mark.parametrize(("trouble", "provider"), [("", "libvirt"), ("no vmx here", "lxc")])
def test_a_choice_gives_its_reason(trouble: str, provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "local_kvm_trouble", lambda: trouble)
    chosen = choice.choose("auto", PLAIN)
    assert chosen.provider == provider
    assert (trouble or "a probe guest ran") in chosen.why


@pytest.mark.parametrize(("text", "named"), VIRTUAL.items(), ids=VIRTUAL.values())
def test_auto_takes_virtual_machines_where_the_definition_sets_what_only_they_have(
    text: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "local_kvm_trouble", lambda: "no vmx here")
    chosen = choice.choose("auto", parse(NODES + text))
    assert chosen.provider == "libvirt"
    assert named in chosen.why


def test_a_public_box_and_containers_do_not_go_together_whoever_chose_them() -> None:
    definition = parse(NODES + "machine: {box: {name: debian/bookworm64, version: '12'}}\n")
    with pytest.raises(
        DefinitionError, match=r"machine\.box\.name: containers start from a box that is built"
    ) as caught:
        choice.choose("lxc", definition)
    assert "with provider lxc" in caught.value.message


@pytest.mark.parametrize(("provider", "warned"), [("lxc", True), ("libvirt", False), ("", False)])
def test_warnings_come_from_the_provider_really_chosen(provider: str, warned: bool) -> None:
    lab = derive(parse(NODES + "libvirt: {driver: qemu}\n"), driver="")
    said = [risk for risk in risks(lab, provider) if risk.startswith("libvirt.driver: means nothing for containers")]
    assert bool(said) == warned
    if provider:
        site = undecided(Identity("ha", Path("/x")), provider)
        assert [risk for risk in overview(lab, site).risks if risk in said] == said
        assert overview(lab, site).risks == risks(lab, provider)


@pytest.mark.parametrize(("known", "warned"), [("", True), ("libvirt", False)])
def test_up_warns_of_the_provider_that_the_command_line_or_the_lab_itself_has(
    known: str, warned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Enough(Exception):
        """The warnings come before anything is done."""

    def work(*_: object, **__: object) -> None:
        raise Enough

    monkeypatch.setattr(up, "FOLDER", tmp_path)
    monkeypatch.setattr(up, "Bringup", work)
    file = tmp_path / "lab.yaml"
    file.write_text(NODES + "libvirt: {driver: qemu}\n")
    if known:
        state = State(Identity("ha", tmp_path))
        state.store_site(undecided(state.identity, known))
    with pytest.raises(Enough):
        up.run(str(file), "", "auto" if known else "lxc", "workers", refresh=False, verbose=False)
    said = "".join(capsys.readouterr())
    assert ("means nothing for containers" in said) == warned


def test_containers_without_root_are_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    topology = derive(parse("nodes: [{name: m1, role: master}]"), driver="")
    with pytest.raises(LabError, match="need root") as caught:
        choice.make(ContainerSite(Identity("ha", Path("/x"))), topology)
    assert "--provider libvirt" in caught.value.hint


def test_vagrant_runs_in_the_labs_network_and_says_all_it_has_to_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "vagrant-fake"
    fake.write_text('#!/bin/sh\necho "$PWD $VAGRANT_DEFAULT_PROVIDER $*"\necho trouble >&2\nexit 3\n')
    fake.chmod(0o755)
    monkeypatch.setattr(LabVagrant, "_make_vagrant_command", lambda self, args: [*self._enter, str(fake), *args])
    lines: list[str] = []
    vagrant = LabVagrant(tmp_path, ["env", "INSIDE=1"], environment(tmp_path, "lxc"))
    with pytest.raises(LabError, match="trouble") as caught:
        vagrant.up_all(["m1", "m2"], "lxc", lines.append)
    assert sorted(lines) == sorted([f"{tmp_path} lxc up m1 m2 --no-provision --provider=lxc", "trouble"])
    assert "vagrant up m1 m2" in str(caught.value), "a command that a person can type"
    assert "./inv enter vagrant up" in caught.value.hint
