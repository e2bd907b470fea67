"""Which libvirt daemon a lab gets, and which it cannot have."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from lab.errors import LabError, UsageError
from lab.providers.libvirt import daemon


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("qemu:///session", "only /system"),
        ("qemu+ssh://me@far/session", "only /system"),
        ("xen:///system", "QEMU's"),
        ("test:///default", "QEMU's"),
        ("qemu+tcp://far/system", "through ssh"),
        ("qemu+tls://far/system", "through ssh"),
        ("qemu+ssh:///system", "host's name is missing"),
    ],
)
def test_what_cannot_work_is_refused_with_a_reason(uri: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        daemon.choose_kind(uri)
    assert uri in caught.value.message


@pytest.mark.parametrize("uri", ["qemu+ssh://far/system", "qemu+ssh://me@far:2222/system?keyfile=/k"])
def test_another_host_is_reached_over_ssh(uri: str) -> None:
    assert daemon.choose_kind(uri).kind == "remote"


@pytest.mark.parametrize(
    ("uri", "jump"),
    [
        ("qemu+ssh://far/system", ("--", "far")),
        ("qemu+ssh://me@far/system", ("--", "me@far")),
        ("qemu+ssh://me@far:2222/system", ("-p", "2222", "--", "me@far")),
        ("qemu+ssh://far/system?keyfile=/root/k&no_tty=1", ("-i", "/root/k", "--", "far")),
    ],
)
def test_ssh_to_the_machines_goes_through_that_host(uri: str, jump: tuple[str, ...]) -> None:
    assert daemon.RemoteDaemon(uri).ssh_jump() == jump


@pytest.mark.parametrize(("runs", "kind"), [(True, "system"), (False, "private")])
def test_the_systems_daemon_when_it_runs_else_a_private_one(
    runs: bool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "listening", lambda: runs)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert daemon.choose_kind("").kind == kind


def test_a_private_daemon_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "listening", lambda: False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UsageError, match="needs root") as caught:
        daemon.choose_kind("")
    assert "group libvirt" in caught.value.hint


def test_a_demanded_system_daemon_that_does_not_run_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "listening", lambda: False)
    with pytest.raises(LabError, match="no such daemon runs"):
        daemon.choose_kind("qemu:///system")


def test_a_daemon_is_one_that_answers(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    assert not daemon.listening((path,)), "there is no such file"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    assert not daemon.listening((path,)), "a file that nobody listens on"
    server.listen()
    assert daemon.listening((tmp_path / "nothing", path))
    server.close()
    assert not daemon.listening((path,)), "the file that a killed daemon left"


def test_a_user_outside_the_group_is_told_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(self: socket.socket, address: str) -> None:
        raise PermissionError(13, "Permission denied")

    class Refused(socket.socket):
        connect = refuse  # type: ignore[assignment]

    monkeypatch.setattr(socket, "socket", Refused)
    with pytest.raises(UsageError, match="permission denied") as caught:
        daemon.listening((tmp_path / "sock",))
    assert "usermod" in caught.value.hint
