"""What a new lab of virtual machines cannot be made of on this host."""

from __future__ import annotations

from pathlib import Path

import pytest
from listening import Deaf

from lab import siting
from lab.cache import Cache
from lab.definition import Definition, parse
from lab.errors import UsageError
from lab.identity import Identity
from lab.plan.site import Daemon, Site
from lab.providers.libvirt import siting as hypervisors
from lab.providers.libvirt.daemon import DaemonKind
from lab.providers.libvirt.probe import Driver
from lab.providers.libvirt.siting import Hypervisor, refuse_unreachable
from lab.stage import Stage
from lab.timeline import Timeline

VERSION = "12.20250126.1"
ADDED = f"vagrant/boxes/debian-VAGRANTSLASH-bookworm64/{VERSION}"


def definition(name: str = "debian/bookworm64", url: str = "", version: str = VERSION) -> Definition:
    box = f"machine: {{box: {{name: '{name}', url: '{url}', version: '{version}'}}}}\n" if name else ""
    return parse("provider: libvirt\nnodes: [{name: m1, role: master}, {name: w1, role: worker}]\n" + box)


@pytest.mark.parametrize("url", ["", "https://boxes.example/bookworm.json"])
def test_a_public_box_cannot_be_fetched_into_a_private_daemons_lab(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"machine\.box\.name debian/bookworm64: no libvirt daemon runs") as caught:
        refuse_unreachable(definition(url=url).machine.box, "private", tmp_path)
    assert "systemctl start libvirtd" in caught.value.hint
    assert "machine.box.url a file:// URL" in caught.value.hint
    command = (
        f"VAGRANT_HOME={tmp_path}/vagrant vagrant box add --provider libvirt --box-version {VERSION} debian/bookworm64"
    )
    assert command in caught.value.hint


@pytest.mark.parametrize("url", ["file:///boxes/lab.box", "/boxes/lab.box"])
def test_a_box_on_this_host_needs_no_way_out(url: str, tmp_path: Path) -> None:
    refuse_unreachable(definition(url=url).machine.box, "private", tmp_path)


def test_nor_does_one_that_was_added_before_in_that_very_version(tmp_path: Path) -> None:
    (tmp_path / ADDED).mkdir(parents=True)
    refuse_unreachable(definition().machine.box, "private", tmp_path)
    refuse_unreachable(definition(version="").machine.box, "private", tmp_path)
    with pytest.raises(UsageError):
        refuse_unreachable(definition(version="12.1").machine.box, "private", tmp_path)


@pytest.mark.parametrize("daemon", ["system", "remote"])
def test_other_daemons_give_the_machines_a_way_out(daemon: str, tmp_path: Path) -> None:
    refuse_unreachable(definition().machine.box, daemon, tmp_path)


def test_a_box_built_here_suits_any_daemon(tmp_path: Path) -> None:
    refuse_unreachable(definition(name="").machine.box, "private", tmp_path)


def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, daemon: Daemon, stage: Stage) -> Site:
    """The site of a lab with a public box on a host with KVM and this kind of daemon."""
    found = Hypervisor(DaemonKind(daemon, "chosen"), Driver("kvm", "it works"), "qemu:///system")
    monkeypatch.setattr(hypervisors, "choose", lambda _: found)
    monkeypatch.setattr(Cache, "default", classmethod(lambda cls: cls(tmp_path / "cache")))
    identity = Identity("ha", tmp_path)
    return siting.make_site(definition(), identity, "libvirt", stage, Timeline(Deaf()), refresh=False)


def test_it_is_refused_before_anything_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_: object, **__: object) -> Path:
        raise AssertionError("built before it was refused")

    monkeypatch.setattr(siting, "_payload", build)
    with pytest.raises(UsageError, match="leads nowhere"):
        make(tmp_path, monkeypatch, "private", Stage.WORKERS)
