"""A lab of which hardly more than the name is known is found by it and removed; another lab is never touched."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import needs
import pytest

from lab.command import Note, run
from lab.definition import parse
from lab.errors import LabError
from lab.identity import Identity
from lab.plan.site import ContainerSite, VirtualSite
from lab.providers import lxc
from lab.providers.libvirt import connection as virt
from lab.providers.libvirt import daemon, leftovers, private, process
from lab.providers.libvirt.private import PrivateDaemon
from lab.providers.remains import ANYWHERE, Remains
from lab.waiting import wait_for

SYSTEM = "qemu:///system"
FAR = "qemu+ssh://somebody@far/system"

#: Nodes are enough of a definition here.
NODES = "nodes: [{name: m1, role: master}]\n"


class Hosts:
    """The libvirts that answer, and what each has: names of machines."""

    def __init__(self) -> None:
        self.machines: dict[str, list[str]] = {}

    @contextmanager
    def connect(self, uri: str, hint: str = "") -> Iterator[list[str]]:
        if uri not in self.machines:
            raise LabError(f"libvirt at {uri} does not answer", hint)
        yield self.machines[uri]


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity("remains", tmp_path / "clone")


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hosts:
    """No libvirt answers until a test says so; nothing of this host is looked at."""
    made = Hosts()

    def purge(machines: list[str], prefix: str) -> list[str]:
        mine = [name for name in machines if virt.belongs(name, prefix)]
        machines[:] = [name for name in machines if name not in mine]
        return [f"machine {name}" for name in mine]

    monkeypatch.setattr(daemon, "listening", lambda: SYSTEM in made.machines)
    monkeypatch.setattr(virt, "connect", made.connect)
    monkeypatch.setattr(virt, "library", lambda: None)
    monkeypatch.setattr(leftovers, "purge", purge)
    monkeypatch.setattr(private, "RUN", tmp_path / "run")
    return made


def noted(identity: Identity, provider: str) -> None:
    """Vagrant's note of a machine."""
    (identity.state / ".vagrant" / "machines" / "m1" / provider).mkdir(parents=True)


def site(identity: Identity, **values: Any) -> VirtualSite:
    return VirtualSite(identity, **values)


def test_nothing_there_is_no_error(identity: Identity, hosts: Hosts) -> None:
    said: list[str] = []
    assert Remains(identity).remove_all(said.append) == []
    assert said == []


def test_the_systems_libvirt_is_searched_by_the_labs_prefix_only(identity: Identity, hosts: Hosts) -> None:
    others = [Identity("remains", Path("/another/clone")).machine("m1"), f"{identity.prefix}x-m1", "someone-elses"]
    hosts.machines[SYSTEM] = [identity.machine("m1"), *others]
    said: list[str] = []
    removed = Remains(identity).remove_all(said.append)
    assert removed == [f"machine {identity.machine('m1')}"]
    assert said == [f"removed {line}" for line in removed]
    assert hosts.machines[SYSTEM] == others


def test_without_the_library_containers_are_removed_and_it_is_said(
    identity: Identity, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise LabError("libvirt-python is not installed")

    monkeypatch.setattr(virt, "library", missing)
    hosts.machines[SYSTEM] = []
    said: list[str] = []
    assert Remains(identity).remove_all(said.append) == []
    assert said == [f"libvirt at {SYSTEM} was not searched: libvirt-python is not installed"]
    assert isinstance(said[0], Note)


@pytest.mark.parametrize("uri", [SYSTEM, FAR])
@pytest.mark.parametrize("lost", ["site", "definition"])
def test_a_libvirt_that_has_machines_of_it_must_answer(identity: Identity, hosts: Hosts, uri: str, lost: str) -> None:
    kind = "remote" if uri == FAR else "system"
    if lost == "site":
        noted(identity, "libvirt")
        remains = Remains(identity, definition=parse(f"{NODES}libvirt: {{uri: '{uri}'}}\n"))
    else:
        remains = Remains(identity, site(identity, uri=uri, daemon=kind))
    with pytest.raises(LabError, match="does not answer") as caught:
        remains.remove_all(lambda line: None)
    assert uri in caught.value.message
    assert "start libvirtd" in caught.value.hint
    assert "./inv destroy --lab remains" in caught.value.hint
    hosts.machines[uri] = [identity.machine("m1"), "someone-elses"]
    assert remains.remove_all(lambda line: None) == [f"machine {identity.machine('m1')}"]
    assert hosts.machines[uri] == ["someone-elses"]


def test_with_nothing_but_vagrants_notes_the_systems_must_answer(identity: Identity, hosts: Hosts) -> None:
    noted(identity, "libvirt")
    with pytest.raises(LabError, match=f"{SYSTEM} does not answer"):
        Remains(identity).remove_all(lambda line: None)
    assert (identity.state / ".vagrant").is_dir(), "the next one must find it again"


@needs.root
def test_no_other_libvirt_need_answer_for_a_lab_with_its_own(identity: Identity, hosts: Hosts) -> None:
    noted(identity, "libvirt")
    folder = identity.state / "libvirt"
    folder.mkdir()
    assert Remains(identity).remove_all(lambda line: None) == [f"folder {folder}"]
    assert Remains(identity, site(identity, daemon="private")).remove_all(lambda line: None) == []
    assert Remains(identity, ContainerSite(identity)).remove_all(lambda line: None) == []


@pytest.fixture
def own(identity: Identity, hosts: Hosts) -> Iterator[PrivateDaemon]:
    """What a private daemon leaves behind: namespace, folders and, as its recorded holder, a process."""
    made = PrivateDaemon.of(identity, ANYWHERE)
    run(["ip", "netns", "add", made.network.name]).check()
    made.images().mkdir(parents=True)
    holder = subprocess.Popen(["sleep", "300"])
    machine = subprocess.Popen(["nsenter", f"--net={made.network.path}", "sleep", "300"])
    found = process.Process.of(holder.pid)
    assert found is not None
    process.save(made.run / "holder.json", found)
    wait_for("the machine in the namespace", made.network.pids, bool, seconds=5)
    yield made
    made.network.remove()
    for left in (holder, machine):
        left.kill()
        left.wait()


@needs.root
def test_a_private_daemon_goes_with_all_that_is_its_own(own: PrivateDaemon, identity: Identity, hosts: Hosts) -> None:
    other = PrivateDaemon.of(Identity("remains", Path("/another/clone")), ANYWHERE)
    other.run.mkdir(parents=True)
    inside = [process.Process.of(pid) for pid in own.network.pids()]
    said: list[str] = []
    removed = Remains(identity).remove_all(said.append)
    assert [line.partition(" (")[0] for line in removed] == [
        "namespace holder",
        f"network namespace {own.network.name}",
        f"folder {own.folder}",
        f"folder {own.run}",
    ]
    assert said == [f"removed {line}" for line in removed]
    wait_for(
        "the machine's end", lambda: [one for one in inside if one and one.alive], lambda left: not left, seconds=5
    )
    assert not own.network.path.exists() and not own.folder.exists() and not own.run.exists()
    assert other.run.is_dir()
    assert Remains(identity).remove_all(said.append) == []


@needs.root
@pytest.mark.parametrize("what", ["own", "lxc"])
def test_what_only_root_can_remove_is_not_counted_as_nothing(
    identity: Identity, hosts: Hosts, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, what: str
) -> None:
    if what == "own":
        request.getfixturevalue("own")
    else:
        noted(identity, "lxc")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="only root can remove") as caught:
        Remains(identity).remove_all(lambda line: None)
    assert caught.value.hint == "sudo ./inv destroy --lab remains"


@needs.root
def test_containers_go_with_their_network(identity: Identity, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(lxc.LxcProvider, "remove_all", lambda self, sink: asked.append(self.network.name) or ["c"])
    assert Remains(identity).remove_all(lambda line: None) == ["c"]
    assert asked == [identity.namespace]
