"""What the doctor says of a host that lacks something: the finding is bad, and names what to do."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from lab import doctor
from lab.definition import load
from lab.doctor import Finding, Grade, examine

Usage = namedtuple("Usage", "total used free")
DEFINITION = load(Path(__file__).parent.parent / "configs" / "ha.yaml")


def finding(subject: str) -> Finding:
    """One finding about a lab of containers."""
    return next(found for found in examine(DEFINITION, "lxc") if found.subject == subject)


def test_containers_need_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert finding("privileges").grade is Grade.BAD
    assert "sudo" in finding("privileges").hint


@pytest.mark.parametrize(("free", "grade"), [(9 * 2**30, Grade.BAD), (11 * 2**30, Grade.GOOD)])
def test_the_disk_must_hold_the_first_build(monkeypatch: pytest.MonkeyPatch, free: int, grade: Grade) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(2**40, 0, free))
    assert finding("disk").grade is grade


def test_a_missing_vagrant_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda program: None)
    assert finding("Vagrant") == Finding(
        "Vagrant", "not installed", Grade.NOTE, "./inv up installs it where there is apt"
    )


def test_an_unavailable_source_of_kubernetes_is_bad_and_told() -> None:
    kubernetes = DEFINITION.kubernetes.model_copy(update={"source": "upstream"})
    found = examine(DEFINITION.model_copy(update={"kubernetes": kubernetes}), "lxc")[-1]
    assert (found.subject, found.grade) == ("Kubernetes", Grade.BAD)
    assert "upstream" in found.seen and "auto" in found.hint


@pytest.mark.parametrize(("cached", "grade"), [(False, Grade.BAD), (True, Grade.NOTE)])
def test_a_mirror_that_does_not_answer_is_named(
    cached: bool, grade: Grade, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for kind in ("box", "payload") if cached else ():
        (tmp_path / kind / "key").mkdir(parents=True)
    monkeypatch.setenv("HALAB_CACHE", str(tmp_path))
    monkeypatch.setattr(doctor, "configured", list)
    monkeypatch.setattr(doctor, "silent", lambda asked: {"http://m.test/debian": "Connection refused"})
    found = finding("mirrors")
    assert found.grade is grade
    assert "m.test" in found.seen and "refused" in found.seen and found.hint


def test_everything_a_lab_needs_is_looked_at() -> None:
    subjects = [found.subject for found in examine(DEFINITION, "lxc")]
    assert subjects == [
        "provider",
        "privileges",
        "Vagrant",
        "namespaces",
        "cgroups",
        "overlay",
        "memory",
        "disk",
        "mirrors",
        "Kubernetes",
    ]
