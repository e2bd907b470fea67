"""``up`` says all that stands in its way before anything slow begins, and asks for nothing that is there already."""

from __future__ import annotations

import os
import shutil
import time
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.box import lxc as lxc_box
from lab.cache import Cache
from lab.commands import bench, up
from lab.definition import load
from lab.errors import UsageError
from lab.identity import Identity
from lab.payload import seed
from lab.payload.choose import tree
from lab.plan.site import ContainerSite, Daemon, Seed, VirtualSite
from lab.project import FOLDER
from lab.providers.base import MachineState
from lab.requirements import scope as scopes
from lab.requirements import sources, space
from lab.requirements.examination import LOOKS, refuse
from lab.requirements.finding import Grade
from lab.requirements.scope import Scope, of_lab, of_new_lab
from lab.requirements.space import GIB
from lab.stage import Stage
from lab.state import State

DEFINITION = load(FOLDER / "configs" / "ha.yaml")
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cache:
    """An empty one; the mirrors do not answer, unless a test says otherwise."""
    monkeypatch.setenv("HALAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "HELPER", "/")
    monkeypatch.setattr(sources, "configured", list)
    monkeypatch.setattr(sources, "silent", lambda asked: {"http://m.test/debian": "Connection refused"})
    return Cache(tmp_path / "cache")


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(Identity("ha", tmp_path))


@pytest.fixture
def poor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who is not root, on a host with next to no room."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(2**40, 0, GIB // 100))
    monkeypatch.setattr(space, "available_memory", lambda: GIB // 100)


def new(state: State, stage: Stage = Stage.WORKERS) -> Scope:
    return of_new_lab(DEFINITION, state.identity, "lxc", stage)


def built(cache: Cache) -> None:
    """Box, payload and seed, as builds that came to their end leave them."""
    payload = tree(cache, DEFINITION.kubernetes.source, DEFINITION.kubernetes.version)
    assert payload is not None
    box = lxc_box.entry(cache, FOLDER / "provision")
    payload.build(lambda folder: {})
    (box.build(lambda folder: {}) / "rootfs/var/lib/dpkg").mkdir(parents=True)
    (box.path / "rootfs/var/lib/dpkg/status").touch()
    seed.entry(cache, box.path / "rootfs", payload.path).build(lambda folder: {})


def said(scope: Scope) -> dict[str, str]:
    """Subject to words, of all that it is refused for."""
    with pytest.raises(UsageError, match="cannot be made on this host") as caught:
        refuse(scope)
    lines = caught.value.message.splitlines()[1:]
    return dict(line.strip().split(": ", 1) for line in lines)


def test_all_that_is_missing_is_told_at_once(state: State, poor: None) -> None:
    found = said(new(state))
    assert set(found) >= {"privileges", "disk", "memory", "mirrors"}
    assert "sudo ./inv up" in found["privileges"]
    assert "the box 2.0, Kubernetes 6.0, the images' seed 1.0" in found["disk"] and "HALAB_CACHE" in found["disk"]
    assert "the machines take 1.5 GiB, and up to 3.0" in found["memory"]
    assert "m.test" in found["mirrors"] and "up builds the box and Kubernetes from them" in found["mirrors"]


def test_it_is_told_within_two_seconds(state: State, poor: None) -> None:
    started = time.monotonic()
    said(new(state))
    assert time.monotonic() - started < 2


def test_what_lies_in_the_cache_needs_no_source_and_no_room(
    state: State, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(cache)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(2**40, 0, 4 * GIB))
    scope = new(state)
    assert scope.parts == ()
    refuse(scope)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(2**40, 0, GIB // 2))
    assert list(said(scope)) == ["disk"], "the machines themselves must have some"


def test_only_the_seed_needs_no_mirror(state: State, cache: Cache) -> None:
    built(cache)
    shutil.rmtree(cache.root / "seed")
    scope = new(state)
    assert [part.name for part in scope.parts] == ["the images' seed"]
    refuse(scope)


def test_refresh_asks_for_all_of_it_again(state: State, cache: Cache) -> None:
    built(cache)
    scope = of_new_lab(DEFINITION, state.identity, "lxc", Stage.WORKERS, refresh=True)
    assert [part.name for part in scope.parts] == ["the box", "Kubernetes", "the images' seed"]
    assert list(said(scope)) == ["mirrors"]


def test_a_damaged_cache_is_built_anew_and_stops_nobody(state: State, cache: Cache) -> None:
    built(cache)
    shutil.rmtree(next((cache.root / "box").glob("lxc-*")) / "rootfs")
    assert [part.name for part in new(state).parts] == ["the images' seed"]


def test_machines_without_kubernetes_take_less_memory(
    state: State, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(cache)
    monkeypatch.setattr(space, "available_memory", lambda: GIB)
    assert list(said(new(state))) == ["memory"]
    refuse(new(state, Stage.LOADBALANCER))


def known(state: State, monkeypatch: pytest.MonkeyPatch, cache: Path, absent: tuple[str, ...] = ()) -> Scope:
    """What is to be made of a lab that is there, and was made of what lies in ``cache``."""
    names = [node.name for node in DEFINITION.nodes]
    states = {name: MachineState.ABSENT if name in absent else MachineState.RUNNING for name in names}
    monkeypatch.setattr(scopes, "assemble", lambda *_: SimpleNamespace(provider=SimpleNamespace(states=lambda: states)))
    site = ContainerSite(state.identity, rootfs=cache, payload=cache, seed=Seed(cache / "hook", cache))
    return of_lab(DEFINITION, state, site, Stage.WORKERS)


def test_of_a_lab_that_is_there_nothing_is_asked_that_it_has(
    state: State, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scope = known(state, monkeypatch, tmp_path)
    assert (scope.parts, scope.nodes) == ((), ())
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(2**40, 0, 0))
    monkeypatch.setattr(space, "available_memory", lambda: 0)
    refuse(scope)
    asked = [look for look in LOOKS if look.asked(scope)]
    assert len(asked) == 3, "whose it is, and where it lies: neither takes time"


def test_a_machine_that_was_lost_needs_room_for_itself_alone(
    state: State, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scope = known(state, monkeypatch, tmp_path, ("master2",))
    assert [node.name for node in scope.nodes] == ["master2"]
    monkeypatch.setattr(space, "available_memory", lambda: GIB)
    refuse(scope)
    monkeypatch.setattr(space, "available_memory", lambda: GIB // 3)
    assert list(said(scope)) == ["memory"]


def test_what_a_lab_was_made_from_and_is_gone_must_be_built_again(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = tuple(node.name for node in DEFINITION.nodes)
    scope = known(state, monkeypatch, Path("/no/such"), names)
    assert scope.building(fetched=True) == "the box and Kubernetes"
    assert list(said(scope)) == ["mirrors"]


def test_another_file_system_for_the_cache_is_asked_for_its_own_share(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the machines' images are copies."""
    monkeypatch.setattr(space.Need, "disk", property(lambda need: "cache" in str(need.folder)))
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(2**40, 0, 8 * GIB))
    one, other = space.disk(new(state))
    assert one.grade is Grade.BAD and "9.0 are needed" in one.seen and "machines" not in one.seen
    assert other.grade is Grade.GOOD
    wanted = {need.what: need.bytes for need in space.needs(new(state), Cache.default().root)}
    assert wanted["machines"] == 3 * space.MASTER_DISK + space.WORKER_DISK + 4 * space.IMAGES_DISK


@pytest.mark.parametrize(
    ("daemon", "folder"), [("private", "/.lab/ha/libvirt"), ("system", "/var/lib/libvirt/images"), ("remote", "")]
)
def test_virtual_machines_take_room_where_their_daemon_keeps_them(state: State, daemon: Daemon, folder: str) -> None:
    lxc = new(state)
    scope = replace(lxc, parts=(), site=VirtualSite(state.identity, "kvm", daemon))
    wanted = [need for need in space.needs(scope, Cache.default().root) if need.what == "machines"]
    assert [str(need.folder).endswith(folder) for need in wanted] == ([True] if folder else [])
    assert sum(need.bytes for need in wanted) == (4 * space.VIRTUAL_DISK if folder else 0)


class Begun(Exception):
    """Something slow was begun."""


def _begin(*_: object, **__: object) -> None:
    raise Begun


def test_up_begins_nothing_where_something_is_missing(
    poor: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up, "FOLDER", tmp_path)
    monkeypatch.setattr(up, "Bringup", _begin)
    with pytest.raises(UsageError, match="privileges: not root"):
        up.run("", "", "lxc", "workers", refresh=False, verbose=False)
    assert list(tmp_path.iterdir()) == []


def test_a_bench_begins_nothing_either(poor: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "FOLDER", tmp_path)
    monkeypatch.setattr(bench, "UpBench", _begin)
    with pytest.raises(UsageError, match="privileges: not root"):
        bench.run("up", 3, "", "", "lxc", ())
    assert list(tmp_path.iterdir()) == []
