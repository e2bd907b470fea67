"""A daemon of the lab's own that does not come up: said with its own last words, as soon as that is clear."""

from __future__ import annotations

import os
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.identity import Identity
from lab.providers.libvirt import private
from lab.providers.libvirt.private import PrivateDaemon


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PrivateDaemon:
    """One whose namespaces are the host's own, and whose program is the test's."""
    monkeypatch.setattr(private, "RUN", tmp_path / "run")
    monkeypatch.setattr(PrivateDaemon, "enter", ())
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return PrivateDaemon.of(Identity("ha", tmp_path), IPv4Interface("192.0.2.1/24"))


def libvirtd(place: Path, script: str) -> None:
    (place / "libvirtd").write_text(f"#!/bin/sh\n{script}\n")
    (place / "libvirtd").chmod(0o755)


def test_one_that_ends_at_once_is_not_waited_for(
    daemon: PrivateDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libvirtd(tmp_path, "sleep 0.2; echo 'no such group: kvm'; exit 3")
    monkeypatch.setattr(private, "START_SECONDS", 1e6)  # who waits for that is not back before the test run is ended
    with pytest.raises(LabError, match=r"did not start \(status 3\)\nno such group: kvm") as caught:
        daemon._start()
    assert "libvirtd.log" in caught.value.hint


def test_one_that_stays_silent_is_given_up(
    daemon: PrivateDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libvirtd(tmp_path, "exec sleep 5")
    monkeypatch.setattr(private, "START_SECONDS", 0.3)
    with pytest.raises(LabError, match=r"did not start \(status None\)"):
        daemon._start()
