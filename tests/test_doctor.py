"""What the doctor says of a host that lacks something: the finding is bad, and names what to do."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab import doctor, siting
from lab.box import libvirt as libvirt_box
from lab.box import lxc as lxc_box
from lab.cache import Cache, Entry
from lab.debian.sources import AptError, Source
from lab.definition import Definition, load, parse
from lab.doctor import examine
from lab.errors import LabError, UsageError
from lab.identity import Identity
from lab.payload import debian
from lab.payload.choose import tree
from lab.plan.site import ContainerSite, Daemon
from lab.providers.base import MachineState
from lab.providers.libvirt.daemon import DaemonKind
from lab.providers.libvirt.probe import Driver
from lab.providers.libvirt.siting import Hypervisor
from lab.requirements import sources, space, vagrant
from lab.requirements.finding import Finding, Grade
from lab.state import State

Usage = namedtuple("Usage", "total used free")
FOLDER = Path(__file__).parent.parent
DEFINITION = load(FOLDER / "configs" / "ha.yaml")
PUBLIC = parse("machine: {box: {name: debian/bookworm64}, memory: 512}\nnodes: [{name: m1, role: master}]")
LAB = Identity("ha", Path("/no/such/clone"))
GIB = 2**30


@pytest.fixture(autouse=True)
def nothing_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cache:
    """A cache of the test's own."""
    monkeypatch.setenv("HALAB_CACHE", str(tmp_path))
    return Cache(tmp_path)


def finding(subject: str, definition: Definition = DEFINITION) -> Finding:
    """One finding about a lab of containers."""
    return next(found for found in examine(definition, LAB, "lxc") if found.subject == subject)


def test_containers_need_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert finding("privileges").grade is Grade.BAD
    assert "sudo" in finding("privileges").hint


@pytest.mark.parametrize(("free", "grade"), [(9 * 2**30, Grade.BAD), (11 * 2**30, Grade.GOOD)])
def test_the_disk_must_hold_the_first_build(monkeypatch: pytest.MonkeyPatch, free: int, grade: Grade) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(2**40, 0, free))
    assert finding("disk").grade is grade


@pytest.mark.parametrize("apt", ["/usr/bin/apt-get", None])
def test_a_missing_vagrant_is_said(apt: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vagrant.shutil, "which", lambda program: apt if program == "apt-get" else None)
    found = finding("Vagrant")
    assert found.seen == "not installed"
    if apt:
        assert (found.grade, found.hint) == (Grade.NOTE, "./inv up installs it")
    else:
        assert found.grade is Grade.BAD and "vagrant-lxc" in found.hint, "nobody installs it"


def test_an_unavailable_source_of_kubernetes_is_bad_and_told() -> None:
    kubernetes = DEFINITION.kubernetes.model_copy(update={"source": "upstream"})
    found = finding("Kubernetes", DEFINITION.model_copy(update={"kubernetes": kubernetes}))
    assert (found.subject, found.grade) == ("Kubernetes", Grade.BAD)
    assert "upstream" in found.seen and "auto" in found.hint


@pytest.fixture
def cache(nothing_built: Cache, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """An empty cache, on a host whose mirrors do not answer."""
    monkeypatch.setattr(sources, "configured", list)
    monkeypatch.setattr(sources, "silent", lambda asked: {"http://m.test/debian": "Connection refused"})
    monkeypatch.setattr(sources, "HELPER", "/")
    monkeypatch.setattr(vagrant, "PLUGINS", (nothing_built.root,))
    (nothing_built.root / "vagrant-lxc.json").touch()
    (nothing_built.root / "vagrant-libvirt.json").touch()
    return nothing_built


def built(entry: Entry | None) -> Entry:
    """The entry, as a build that came to its end leaves it."""
    assert entry is not None
    entry.build(lambda folder: {})
    return entry


def payload_of(cache: Cache) -> Entry | None:
    return tree(cache, DEFINITION.kubernetes.source, DEFINITION.kubernetes.version)


def test_kubernetes_in_the_cache_needs_no_compiler_and_no_source(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> list[Source]:
        raise AptError("no source of Debian 12")

    monkeypatch.setattr(debian, "configured", none)
    assert finding("Kubernetes").grade is Grade.BAD
    built(payload_of(cache))
    assert finding("Kubernetes") == Finding("Kubernetes", "v1.20.2, source debian: in the cache", Grade.GOOD)


class TestMirrors:
    """They are needed for what the cache has not: whole, of this provider, for this definition."""

    def test_one_that_does_not_answer_is_named(self, cache: Cache) -> None:
        found = finding("mirrors")
        assert found.grade is Grade.BAD
        assert "m.test" in found.seen and "refused" in found.seen
        assert found.hint == "up builds the box and Kubernetes from them"

    @pytest.mark.parametrize(
        ("uris", "grade", "seen"),
        [
            ("http://m.test/debian", Grade.GOOD, "1 configured, all answer"),
            ("mirror+file:/m.list", Grade.NOTE, "not asked, as it is no web address: mirror+file:/m.list"),
            (
                "http://m.test/debian mirror+file:/m.list",
                Grade.GOOD,
                "1 configured, all answer; not asked, as it is no web address: mirror+file:/m.list",
            ),
        ],
    )
    def test_only_who_was_asked_is_said_to_answer(
        self, uris: str, grade: Grade, seen: str, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sources, "configured", lambda: [Source({"uris": uris, "suites": "bookworm"})])
        monkeypatch.setattr(sources, "silent", lambda asked: {})
        assert (finding("mirrors").grade, finding("mirrors").seen) == (grade, seen)

    def test_with_all_in_the_cache_they_may_be_silent(self, cache: Cache) -> None:
        built(lxc_box.entry(cache, FOLDER / "provision"))
        assert (finding("mirrors").grade, finding("mirrors").hint) == (Grade.BAD, "up builds Kubernetes from them")
        built(payload_of(cache))
        assert finding("mirrors").grade is Grade.NOTE
        assert "the cache is filled" in finding("mirrors").hint

    def test_locks_unfinished_builds_and_outdated_entries_do_not_fill_it(self, cache: Cache) -> None:
        for name in (".lxc-0123.lock", ".lxc-0123.building", "lxc-0123"):
            for kind in ("box", "payload"):
                (cache.root / kind / name).mkdir(parents=True)
        lxc_box.entry(cache, FOLDER / "provision").path.mkdir()
        assert finding("mirrors").hint == "up builds the box and Kubernetes from them"

    def test_another_providers_box_does_not_count(self, cache: Cache, kvm: None) -> None:
        payload = built(payload_of(cache))
        built(lxc_box.entry(cache, FOLDER / "provision"))
        assert virtual("mirrors").hint == "up builds the box from them"
        built(libvirt_box.entry(cache, FOLDER / "provision", "v1", payload.path))
        assert virtual("mirrors").grade is Grade.NOTE

    def test_a_public_box_is_not_built(self, cache: Cache, kvm: None) -> None:
        assert virtual("mirrors", PUBLIC).hint == "up builds Kubernetes from them"

    def test_emulated_machines_do_without_kubernetes(self, cache: Cache, emulated: None) -> None:
        assert virtual("mirrors").hint == "up builds the box from them"
        built(libvirt_box.entry(cache, FOLDER / "provision", "v1", None))
        assert virtual("mirrors").grade is Grade.NOTE


def has_hypervisor(monkeypatch: pytest.MonkeyPatch, daemon: Daemon, driver: str) -> None:
    found = Hypervisor(DaemonKind(daemon, "for some reason"), Driver(driver, "tried: it was so"), "qemu:///system")
    monkeypatch.setattr(siting.hypervisors, "choose", lambda definition: found)


@pytest.fixture
def kvm(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with a system libvirt and KVM."""
    has_hypervisor(monkeypatch, "system", "kvm")


@pytest.fixture
def emulated(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without KVM."""
    has_hypervisor(monkeypatch, "private", "qemu")


def virtual(subject: str, definition: Definition = DEFINITION) -> Finding:
    """One finding about a lab of virtual machines."""
    return next(found for found in examine(definition, LAB, "libvirt") if found.subject == subject)


class TestVirtualMachines:
    """What daemon, what driver, why, and what the machines take."""

    def test_daemon_and_driver_are_told_with_their_reasons(self, kvm: None) -> None:
        assert virtual("libvirt") == Finding("libvirt", "system, for some reason", Grade.GOOD)
        assert virtual("driver") == Finding("driver", "kvm: tried: it was so", Grade.GOOD)

    def test_emulation_is_told_with_what_it_cannot(self, emulated: None) -> None:
        found = virtual("driver")
        assert found.grade is Grade.NOTE
        assert "--until loadbalancer" in found.hint

    def test_what_follows_the_driver_is_told_and_what_was_set_too_fast(self, emulated: None) -> None:
        assert virtual("unset timers").grade is Grade.NOTE
        assert "keepalived.advert_interval 1," in virtual("unset timers").seen
        fast = parse("keepalived: {advert_interval: 0.1}\nnodes: [{name: m1, role: master}]")
        assert "advert_interval" not in virtual("unset timers", fast).seen
        found = virtual("keepalived.advert_interval", fast)
        assert found.grade is Grade.NOTE
        assert "shorter than emulated machines keep" in found.seen

    def test_nothing_follows_kvm(self, kvm: None) -> None:
        assert "unset timers" not in {found.subject for found in examine(DEFINITION, LAB, "libvirt")}

    @pytest.mark.parametrize(
        "error", [UsageError("no access", "join its group"), LabError("no access", "join its group")]
    )
    def test_a_libvirt_that_cannot_be_used_is_bad_and_says_what_to_do(
        self, error: LabError, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(definition: Definition) -> Hypervisor:
            raise error

        monkeypatch.setattr(siting.hypervisors, "choose", refuse)
        assert virtual("libvirt") == Finding("libvirt", "no access", Grade.BAD, "join its group")
        assert virtual("memory").seen, "the other looks go on"

    @pytest.mark.parametrize(
        ("gib", "provider", "grade"),
        [
            (3.1, "libvirt", Grade.BAD),
            (3.5, "libvirt", Grade.NOTE),
            (8.1, "libvirt", Grade.GOOD),
            (1.4, "lxc", Grade.BAD),
            (1.6, "lxc", Grade.NOTE),
            (3.1, "lxc", Grade.GOOD),
        ],
    )
    def test_less_memory_than_machines_take_is_bad_and_less_than_they_may_take_a_note(
        self, gib: float, provider: str, grade: Grade, kvm: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(space, "available_memory", lambda: int(gib * GIB))
        found = next(found for found in examine(DEFINITION, LAB, provider) if found.subject == "memory")
        assert found.grade is grade
        needed = "3.4 GiB, and up to 8.0" if provider == "libvirt" else "1.5 GiB, and up to 3.0"
        assert (needed in found.hint) == (grade is not Grade.GOOD)

    @pytest.mark.parametrize(("gib", "grade"), [(1.8, Grade.BAD), (2.0, Grade.NOTE), (6.0, Grade.NOTE)])
    def test_emulated_machines_take_up_to_the_load_balancer_what_was_measured(
        self, gib: float, grade: Grade, emulated: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(space, "available_memory", lambda: int(gib * GIB))
        assert virtual("memory").grade is grade

    @pytest.mark.parametrize(
        ("provider", "grade"), [("lxc", Grade.GOOD), ("libvirt", Grade.BAD)], ids=["this lab", "another provider's"]
    )
    def test_what_runs_of_the_lab_already_does_not_count_again(
        self, provider: str, grade: Grade, kvm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = [node.name for node in DEFINITION.nodes]
        states = {**dict.fromkeys(names, MachineState.RUNNING), names[-1]: MachineState.STOPPED}
        seen = SimpleNamespace(provider=SimpleNamespace(states=lambda: states))
        monkeypatch.setattr(doctor, "assemble", lambda *_: seen)
        monkeypatch.setattr(space, "available_memory", lambda: GIB // 2)
        lab = Identity("ha", tmp_path)
        State(lab).store_site(ContainerSite(lab))
        memory = next(found for found in examine(DEFINITION, lab, provider) if found.subject == "memory")
        assert memory.grade is grade
        monkeypatch.setattr(space, "available_memory", lambda: GIB // 20)
        memory = next(found for found in examine(DEFINITION, lab, provider) if found.subject == "memory")
        assert memory.grade is Grade.BAD, "the one that is off takes some when it is switched on"

    def test_a_nodes_own_memory_counts(self, kvm: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(space, "available_memory", lambda: 1 * GIB)
        assert virtual("memory", PUBLIC).grade is Grade.GOOD
        nodes = "nodes: [{name: m1, role: master}, {name: w1, role: worker, memory: 600}]"
        assert virtual("memory", parse(f"machine: {{memory: 512}}\n{nodes}")).grade is Grade.BAD

    def test_another_hosts_memory_is_not_looked_at(self, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
        has_hypervisor(monkeypatch, "remote", "kvm")
        monkeypatch.setattr(space, "available_memory", lambda: 0)
        assert virtual("memory").grade is Grade.NOTE

    def test_only_what_is_built_already_needs_no_root(
        self, cache: Cache, kvm: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        found = virtual("privileges")
        assert found.grade is Grade.BAD
        assert "building the box and Kubernetes needs root" in found.hint and "machine.box" in found.hint
        found = virtual("privileges", PUBLIC)
        assert found.grade is Grade.NOTE
        assert "enough for --until loadbalancer" in found.hint and "building Kubernetes needs root" in found.hint
        payload = built(payload_of(cache))
        built(libvirt_box.entry(cache, FOLDER / "provision", "v1", payload.path))
        for definition in (DEFINITION, PUBLIC):
            found = virtual("privileges", definition)
            assert found.grade is Grade.NOTE
            assert "needs root" not in found.hint and "group" in found.hint


def test_everything_a_lab_needs_is_looked_at() -> None:
    subjects = [found.subject for found in examine(DEFINITION, LAB, "lxc")]
    assert list(dict.fromkeys(subjects)) == [
        "provider",
        "privileges",
        "folders",
        "paths",
        "Vagrant",
        "namespaces",
        "network",
        "overlay",
        "cgroups",
        "kernel log",
        "memory",
        "disk",  # one a file system
        "host's network",
        "mirrors",
        "Kubernetes",
        "cache",
    ]


def test_a_cache_that_is_whole_says_how_much_it_holds(nothing_built: Cache) -> None:
    assert finding("cache").seen == "empty"
    for name in ("one", "two"):
        nothing_built.entry("box", name, {}).build(_a_file)
    assert finding("cache") == Finding("cache", "2 entries, 0.0 GiB, whole", Grade.GOOD)


def test_damage_that_hides_behind_size_and_time_is_found(nothing_built: Cache) -> None:
    file = nothing_built.entry("box", "one", {}).build(_a_file) / "file"
    before = file.stat()
    file.write_text("TEXT")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    found = finding("cache")
    assert found.grade is Grade.BAD
    assert str(file.parent) in found.seen
    assert "file: contents changed" in found.seen


def _a_file(folder: Path) -> dict[str, object]:
    (folder / "file").write_text("text")
    return {}
