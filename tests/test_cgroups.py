"""Which control groups a kernel has, read from their folder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from lab import cgroups
from lab.requirements import kernel
from lab.requirements.finding import Grade
from lab.requirements.scope import Scope
from lab.stage import Stage


def unified(top: Path, controllers: str) -> Path:
    """Version 2: one tree."""
    (top / "cgroup.controllers").write_text(f"{controllers}\n")
    return top


def separate(top: Path, names: str) -> Path:
    """Version 1: a tree a controller, or a tree for some together; often one of version 2 without any beside."""
    for name in [*names.split(), "systemd", "unified"]:
        (top / name).mkdir()
    (top / "unified" / "cgroup.controllers").write_text("\n")
    return top


def test_one_tree_is_version_2(tmp_path: Path) -> None:
    assert cgroups.version(unified(tmp_path, "cpuset cpu io memory hugetlb pids rdma misc")) == "v2"
    assert cgroups.missing(tmp_path) == []


def test_a_tree_of_version_2_beside_those_of_version_1_changes_nothing(tmp_path: Path) -> None:
    assert cgroups.version(separate(tmp_path, "cpu,cpuacct cpuset devices freezer memory pids")) == "v1"
    assert cgroups.missing(tmp_path) == []


def test_a_controller_that_the_kernel_was_told_to_do_without_is_missing(tmp_path: Path) -> None:
    assert cgroups.missing(unified(tmp_path, "cpuset cpu io pids")) == ["memory"]


def test_no_control_groups_at_all_lack_everything(tmp_path: Path) -> None:
    assert cgroups.missing(tmp_path) == sorted(cgroups.NEEDED["v1"])


def test_a_host_without_them_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "version", lambda: "v2")
    monkeypatch.setattr(cgroups, "missing", lambda: ["memory"])
    found = kernel.cgroups(cast(Scope, SimpleNamespace(stage=Stage.WORKERS)))
    assert (found.seen, found.grade) == ("v2 without memory", Grade.BAD)
    assert "cgroup_disable" in found.hint
