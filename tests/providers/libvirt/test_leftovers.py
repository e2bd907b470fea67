"""What an interrupted up left on a hypervisor, and Vagrant's notes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypervisor import NODES, lab, left_of, machine, notes, volume

from lab.command import Note
from lab.plan.virtual import Virtual
from lab.providers.base import MachineState
from lab.providers.libvirt import domains, leftovers, volumes


def mend(host: Any, virtual: Virtual, tmp_path: Path) -> list[str]:
    said: list[str] = []
    leftovers.mend(host, virtual, NODES, notes(tmp_path), said.append)
    assert all(isinstance(line, Note) for line in said), "what was mended is shown for good"
    return said


def test_a_healthy_lab_is_left_alone(host: Any, virtual: Virtual, tmp_path: Path) -> None:
    for node, domain in lab(host, virtual).items():
        notes(tmp_path).write(node, domain.UUIDString())
    assert mend(host, virtual, tmp_path) == []
    assert len(domains.states(host, virtual.identity.prefix)) == 2


def test_vagrants_folder_removed_by_hand(host: Any, virtual: Virtual, tmp_path: Path) -> None:
    machines = lab(host, virtual)
    said = mend(host, virtual, tmp_path)
    assert len(said) == 2
    assert "does not know" in said[0]
    assert {node: notes(tmp_path).read(node) for node in NODES} == {
        node: domain.UUIDString() for node, domain in machines.items()
    }
    assert domains.state(machines["m1"]) is MachineState.RUNNING, "nobody was disturbed"


def test_up_killed_between_defined_and_started(host: Any, virtual: Virtual, tmp_path: Path) -> None:
    half = machine(host, virtual, "m1", cards=1)
    notes(tmp_path).write("m1", half.UUIDString())
    said = mend(host, virtual, tmp_path)
    assert said == ["m1: a half-made machine (an interrupted up left it): remove what there is"]
    assert left_of(host, virtual.identity.prefix) == []
    assert notes(tmp_path).read("m1") == ""


def test_a_disk_left_behind(host: Any, virtual: Virtual, tmp_path: Path) -> None:
    volume(host, virtual.volume("m2"))
    said = mend(host, virtual, tmp_path)
    assert said == ["m2: a disk without a machine (an interrupted up left it): remove what there is"]
    assert volumes.mine(host, virtual.identity.prefix) == []


def test_a_machine_without_its_disk(host: Any, virtual: Virtual, tmp_path: Path) -> None:
    machine(host, virtual, "m1", disk=False)
    assert "half-made" in mend(host, virtual, tmp_path)[0]
    assert domains.states(host, virtual.identity.prefix) == {}


def test_a_note_of_a_machine_that_is_gone(host: Any, virtual: Virtual, tmp_path: Path) -> None:
    notes(tmp_path).write("m1", "0a7b9b52-0d1c-4ae5-8c5c-5b5e1ad0a7f1")
    assert "gone" in mend(host, virtual, tmp_path)[0]
    assert notes(tmp_path).read("m1") == ""
