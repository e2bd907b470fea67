"""Which provider a host gets, and why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.definition import parse
from lab.errors import LabError
from lab.identity import Identity
from lab.plan.site import Site
from lab.providers import choice
from lab.providers.vagrant import LabVagrant, environment
from lab.topology import derive


def test_what_was_asked_for_is_taken() -> None:
    assert choice.choose("lxc") == choice.Choice("lxc", "asked for")


def test_a_choice_gives_its_reason() -> None:
    chosen = choice.choose("auto")
    assert chosen.provider in ("lxc", "libvirt")
    assert chosen.why


def test_containers_without_root_are_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    topology = derive(parse("nodes: [{name: m1, role: master}]"))
    with pytest.raises(LabError, match="need root") as caught:
        choice.make(Site(Identity("ha", Path("/x")), "lxc"), topology)
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
