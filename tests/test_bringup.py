"""What ``up`` refuses before it touches anything: what would half apply to a lab that is there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from faking import Fake
from listening import Deaf
from yamltext import dump

from lab import bringup
from lab.bringup import Bringup, refuse_another_shape
from lab.cache import Cache
from lab.definition import load, parse
from lab.errors import LabError, UsageError
from lab.faults.kinds import KINDS
from lab.faults.ledger import Ledger
from lab.faults.spec import Fault
from lab.identity import Identity
from lab.model.operations import Add, Remove
from lab.plan.site import Box, ContainerSite, Seed, Site, VirtualSite, undecided
from lab.project import DEFAULT_DEFINITION
from lab.providers.base import MachineState
from lab.stage import Stage
from lab.state import State
from lab.timeline import Timeline
from lab.topology import derive
from lab.usage import made_from, remember

DEFINITION = "name: ha\nnodes: [{name: m1, role: master}, {name: w1, role: worker}]\n"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("HALAB_CACHE", str(tmp_path / "cache"))
    return Cache.default()


def built(cache: Cache, kind: str, name: str = "it") -> Path:
    """An entry of the cache with one part."""

    def builder(folder: Path) -> Mapping[str, object]:
        (folder / "part").mkdir()
        (folder / "part/file").write_text("whole")
        return {}

    return cache.entry(kind, name, {}).build(builder) / "part"


@pytest.fixture
def state(tmp_path: Path, cache: Cache) -> State:
    """A lab of containers as an earlier ``up`` left it."""
    state = State(Identity("ha", tmp_path))
    state.write("definition.yaml", DEFINITION)
    seed = Seed(Path("/the box/lxc-seed"), built(cache, "seed"))
    made_of = {name: built(cache, name) for name in ("rootfs", "payload")}
    state.store_site(ContainerSite(state.identity, seed=seed, **made_of))
    return state


def up(state: State, *, text: str = DEFINITION, wanted: str = "auto", refresh: bool = False) -> Bringup:
    return Bringup(parse(text), text, state, wanted, Stage.WORKERS, Timeline(Deaf()), refresh)


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


@pytest.mark.parametrize("driver", ["", "qemu"])
def test_a_lab_whose_definition_set_every_timer_goes_on_with_one_that_leaves_them_unset(
    state: State, driver: str
) -> None:
    """What is equal is not another shape, and the older lab keeps what it was made with."""
    default = load(DEFAULT_DEFINITION)
    state.write("definition.yaml", dump(default.model_dump(mode="json", exclude_none=True)))
    site = undecided(state.identity, "libvirt" if driver else "lxc", driver)
    state.store_site(site)
    refuse_another_shape(state, default)
    made = derive(load(state.definition), driver)
    assert made.definition.keepalived.advert_interval == 0.2
    assert {node.cpus for node in made.nodes} == {1 if driver else 2}


def test_another_shape_is_refused_by_the_part_that_changed(state: State) -> None:
    with pytest.raises(UsageError, match="exists with another definition: nodes changed") as caught:
        up(state, text=DEFINITION.replace("w1", "w2")).run()
    assert caught.value.message.splitlines()[1:] == [Remove("w1").refusal, Add("w2").refusal]
    assert caught.value.hint.startswith("./inv destroy --lab ha first")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("role: master}", "role: master, priority: 200}"),
        ("nodes:", "keepalived: {vrrp_version: 2, advert_interval: 1}\nnodes:"),
        ("nodes:", "haproxy: {retries: 1}\nnodes:"),
    ],
    ids=["priority", "keepalived", "haproxy"],
)
def test_the_load_balancer_may_change(state: State, old: str, new: str) -> None:
    refuse_another_shape(state, parse(DEFINITION.replace(old, new)))


RUNNING, STOPPED, ABSENT = MachineState.RUNNING, MachineState.STOPPED, MachineState.ABSENT


@pytest.mark.parametrize("part", ["rootfs", "payload"])
@pytest.mark.parametrize("machine", [RUNNING, STOPPED])
def test_machines_on_a_damaged_cache_are_not_gone_on_with(
    part: str, machine: MachineState, state: State, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_machines(monkeypatch, {"m1": machine, "w1": ABSENT})
    (cache.root / part).joinpath(next((cache.root / part).glob("it-*")).name, "part/file").write_text("torn")
    with pytest.raises(LabError, match=rf"machines of lab ha are made from what is damaged: .*/{part}/") as caught:
        up(state).run()
    assert "part/file" in caught.value.message
    assert caught.value.hint == "./inv destroy --lab ha, then ./inv up builds it anew"
    assert state.load_site() is not None


@pytest.mark.parametrize("part", ["rootfs", "payload", "seed"])
@pytest.mark.parametrize("damage", ["torn", "gone"])
def test_without_machines_a_damaged_cache_is_built_anew_with_the_same_provider(
    part: str, damage: str, state: State, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_machines(monkeypatch, {"m1": ABSENT, "w1": ABSENT})
    entry = next((cache.root / part).glob("it-*"))
    if damage == "torn":
        (entry / "part/file").write_text("torn")
    else:
        shutil.rmtree(entry)
    asked: list[str] = []

    remember(cache.root, state.identity.prefix, state.folder, [entry / "part"])

    def make_site(_definition: object, _identity: object, wanted: str, *_: object, **__: object) -> Site:
        assert made_from(entry, cache.root) == "", "or the cache would say that this very lab still uses it"
        asked.append(wanted)
        raise UsageError("far enough")

    monkeypatch.setattr(bringup, "make_site", make_site)
    with pytest.raises(UsageError, match="far enough"):
        up(state).run()
    assert asked == ["lxc"]


@pytest.mark.parametrize("damage", ["torn", "gone"])
@pytest.mark.parametrize("name", ["it", "another"])
def test_images_that_only_a_lost_machine_needs_are_made_anew_beside_those_that_run(
    damage: str, name: str, state: State, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version of the project may keep them elsewhere, on the same box and payload."""
    with_machines(monkeypatch, {"m1": RUNNING, "w1": ABSENT})
    site = state.load_site()
    assert isinstance(site, ContainerSite) and site.seed is not None
    known, seed = site, site.seed.images
    up(state)._remember(known)
    if damage == "torn":
        (seed / "file").write_text("torn")
    else:
        shutil.rmtree(seed.parent)

    def prepare(cache: Cache, rootfs: Path, payload: Path, *_: object) -> Path:
        assert (rootfs, payload) == (known.rootfs, known.payload), "those that run stand on them"
        assert made_from(rootfs.parent, cache.root) == f"the lab of {state.folder}"
        return built(cache, "seed", name)

    monkeypatch.setattr("lab.payload.seed.prepare", prepare)
    monkeypatch.setattr(bringup, "make_site", lambda *_, **__: pytest.fail("the machines that run have a site"))
    made = up(state)._site()
    assert isinstance(made, ContainerSite) and made.seed is not None
    assert (made.seed.images / "file").read_text() == "whole"
    assert made.seed.command == rf"/the\ box/lxc-seed {made.seed.images}"
    assert replace(made, seed=known.seed) == known
    assert (made == known) == (name == "it")


@pytest.mark.parametrize("version", ["this", "another"])
def test_a_lost_virtual_machine_is_made_from_the_very_box_of_the_others(
    version: str, state: State, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_machines(monkeypatch, {"m1": RUNNING, "w1": ABSENT})
    image = built(cache, "box")
    known = VirtualSite(state.identity, "kvm", box=Box("box-1"), image=image, payload=Path("/payload"))
    state.store_site(known)
    shutil.rmtree(image.parent)

    def build(*_: object, **__: object) -> SimpleNamespace:
        made = built(cache, "box") if version == "this" else built(cache, "box", "another")
        return SimpleNamespace(name="box-1" if version == "this" else "box-2", version="", url="", image=made)

    monkeypatch.setattr("lab.box.libvirt.build", build)
    monkeypatch.setattr("lab.siting._payload", lambda *_, **__: Path("/payload"))
    if version == "this":
        assert up(state)._site() == known, "whoever let them in before does so now"
        assert (image / "file").is_file()
        return
    with pytest.raises(LabError, match="made from box-1 and /payload, new ones would be from box-2 and") as caught:
        up(state)._site()
    assert caught.value.hint == "./inv destroy --lab ha, then ./inv up makes them all from the new"


def test_what_only_new_machines_need_may_be_gone_when_there_are_none(
    state: State, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_machines(monkeypatch, {"m1": RUNNING, "w1": STOPPED})
    shutil.rmtree(cache.root / "seed")
    work = up(state)
    known = state.load_site()
    assert known is not None
    assert work._site() == known


def test_the_cache_knows_of_every_lab_that_stands_on_it(
    state: State, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = state.load_site()
    assert site is not None
    up(state)._remember(site)
    assert made_from(cache.folders()[0], cache.root) == f"the lab of {state.folder}"
    seed = next(folder for folder in cache.folders() if folder.parent.name == "seed")
    assert made_from(seed, cache.root) == "", "only new machines need it"


CONTAINERS = ContainerSite(
    Identity("ha", Path("/x")), rootfs=Path("/r"), payload=Path("/p"), seed=Seed(Path("/h"), Path("/s"))
)
MACHINES = VirtualSite(Identity("ha", Path("/x")), image=Path("/i"), payload=Path("/p"))


@pytest.mark.parametrize(
    ("site", "new", "parts"),
    [
        (CONTAINERS, False, ["/r", "/p"]),
        (CONTAINERS, True, ["/r", "/p", "/s"]),
        (MACHINES, False, []),
        (MACHINES, True, ["/i"]),
        (replace(MACHINES, image=None), True, ["/p"]),
    ],
)
def test_what_machines_stand_on(site: Site, new: bool, parts: list[str]) -> None:
    assert [str(path) for path in site.stands_on(new=new)] == parts


@pytest.fixture
def steps(state: State, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What an ``up`` of a lab that only has to be gone through does, in order; its faults only note that they end."""
    done: list[str] = []

    def note(word: str, told: object) -> Callable[..., object]:
        return lambda *_: (done.append(word), told)[1]

    for kind in ("haproxy-stop", "test-pods"):
        monkeypatch.setitem(KINDS, kind, KINDS[kind])
        Fake(seen=note(f"heal {kind}", None)).take_the_place_of(kind)
    monkeypatch.setattr(bringup, "settle", note("settle", None))
    for step in ("_boot", "_provision"):
        monkeypatch.setattr(Bringup, step, note(step, []))
    return done


def test_what_an_earlier_command_left_open_is_healed_when_machines_run_and_litter_when_all_is_well(
    state: State, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bringup, "_site", lambda self: state.load_site())
    for kind in ("test-pods", "haproxy-stop"):
        Ledger.of(state).open(Fault(kind, ("m1",)))
    up(state).run()
    assert steps == ["_boot", "heal haproxy-stop", "_provision", "settle", "heal test-pods"]
    assert Ledger.of(state).entries() == []


def test_what_was_open_on_a_machine_that_is_made_anew_went_with_the_old_one(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    for node in ("m1", "w1"):
        Ledger.of(state).open(Fault("pause", (node,)))
    states = {"m1": MachineState.RUNNING, "w1": MachineState.ABSENT}
    provider = SimpleNamespace(prepare=lambda sink: None, states=lambda: states, capabilities=frozenset())

    def made_anew(nodes: list[str], sink: object) -> None:
        raise LabError(f"far enough: {nodes}")

    provider.up = made_anew
    lab = SimpleNamespace(state=state, provider=provider, channel=SimpleNamespace(forget=lambda name: None))
    work = up(state)
    monkeypatch.setattr(work.timeline, "line", (told := []).append)
    with pytest.raises(LabError, match="far enough"):
        work._boot(lab)  # type: ignore[arg-type]
    assert told == ["pause on w1, left open by an earlier command, went with its machine"]
    assert [str(entry) for entry in Ledger.of(state).entries()] == ["pause on m1"]
