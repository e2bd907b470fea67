"""A libvirt that does not answer, or whose library is missing."""

from __future__ import annotations

from ipaddress import IPv4Interface
from pathlib import Path

import pytest
from hypervisor import NODES, SUBNET, notes, silent

from lab.errors import LabError
from lab.plan.virtual import Virtual
from lab.providers.libvirt import connection as virt
from lab.providers.libvirt import daemon
from lab.providers.libvirt.daemon import RemoteDaemon, SystemDaemon
from lab.providers.libvirt.private import PrivateDaemon
from lab.providers.libvirt.provider import LibvirtProvider


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "libvirt", None)
    with pytest.raises(LabError, match="libvirt-python is not installed"):
        virt.library()


def test_a_daemon_that_does_not_answer_is_named(tmp_path: Path) -> None:
    uri = f"qemu+unix:///system?socket={tmp_path}/sock"
    with pytest.raises(LabError, match="does not answer"), virt.connect(uri):
        pass


def test_a_remote_daemon_that_does_not_answer_is_not_taken_for_an_empty_one(virtual: Virtual, tmp_path: Path) -> None:
    uri = f"qemu+unix:///system?socket={tmp_path}/sock"
    provider = LibvirtProvider(virtual, RemoteDaemon(uri), SUBNET, NODES)
    notes(virtual.identity.state).write("m1", "0a7b9b52-0d1c-4ae5-8c5c-5b5e1ad0a7f1")
    with pytest.raises(LabError, match="does not answer") as caught:
        provider.remove_all(silent)
    assert uri in caught.value.message
    assert caught.value.hint == "start it (systemctl start libvirtd on its host), then again: ./inv destroy --lab ha"
    assert notes(virtual.identity.state).read("m1"), "what tells of it stays"


def test_a_system_daemon_that_does_not_answer_is_not_taken_for_an_empty_one(
    virtual: Virtual, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "listening", lambda: False)
    provider = LibvirtProvider(virtual, SystemDaemon(), SUBNET, NODES)
    with pytest.raises(LabError, match="libvirt at qemu:///system does not answer") as caught:
        provider.remove_all(silent)
    assert caught.value.hint == "start it (systemctl start libvirtd), then again: ./inv destroy --lab ha"


def test_a_private_daemon_that_does_not_answer_goes_with_all_it_runs(
    virtual: Virtual, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    private = PrivateDaemon.of(virtual.identity, IPv4Interface("192.0.2.1/24"))
    private.images().mkdir(parents=True)
    monkeypatch.setattr(PrivateDaemon, "running", lambda self: True)
    said: list[str] = []
    removed = LibvirtProvider(virtual, private, SUBNET, NODES).remove_all(said.append)
    assert removed == [f"folder {private.folder}"]
    assert said[0].endswith("; ending it with all it runs")
