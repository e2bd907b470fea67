"""Containers let in who has the lab's own key: pods reach every machine's sshd, and all the world has Vagrant's key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import needs
import pytest
from listening import Deaf

from lab import keypair, siting
from lab.box import customize, libvirt, lxc
from lab.definition import parse
from lab.identity import Identity
from lab.payload import seed
from lab.plan import File, render
from lab.plan.site import ContainerSite
from lab.providers import choice
from lab.stage import Stage
from lab.timeline import Timeline
from lab.topology import derive

KEY = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ=="
DEFINITION = parse("nodes: [{name: m1, role: master}, {name: w1, role: worker}]")
TOPOLOGY = derive(DEFINITION, "")


def files(ssh_key: str) -> Mapping[str, File]:
    """What is rendered for a lab of containers in a folder with a space in its name."""
    return render(
        TOPOLOGY, ContainerSite(Identity("ha", Path("/my labs")), payload=Path("/cache/p"), ssh_key=ssh_key or None)
    )


def test_each_machine_is_told_the_labs_own_key_and_takes_no_other() -> None:
    rendered = files(KEY)
    assert rendered["authorized_keys"] == File(f"{KEY}\n", 0o644), "sshd reads it as the user"
    told = rendered["Vagrantfile"].content
    bound = "/my\\\\040labs/.lab/ha/authorized_keys home/vagrant/.ssh/authorized_keys none ro,bind,create=file 0 0"
    assert f'lxc.customize "mount.entry", "{bound}"\n' in told
    assert 'config.ssh.private_key_path = "ssh_key"\n' in told
    assert "insecure_private_key" not in told


def test_no_step_writes_the_file_that_no_machine_can_change() -> None:
    steps = [file.content for name, file in files(KEY).items() if name.startswith("nodes/")]
    assert steps and not any("authorized_keys" in text for text in steps)


def test_a_lab_of_an_earlier_version_is_rendered_with_vagrants_key() -> None:
    rendered = files("")
    assert "authorized_keys" not in rendered
    told = rendered["Vagrantfile"].content
    assert "private_key_path" not in told and ".ssh/" not in told


@needs.root
@pytest.mark.parametrize(("ssh_key", "file"), [(KEY, "ssh_key"), ("", "vagrant/insecure_private_key")])
def test_ssh_offers_the_one_key_that_the_machines_know(ssh_key: str, file: str, tmp_path: Path) -> None:
    told = choice.make(ContainerSite(Identity("ha", tmp_path), ssh_key=ssh_key or None), TOPOLOGY).ssh_config()
    offered = [line.split()[1] for line in told.splitlines() if "IdentityFile" in line]
    assert offered == [f"{tmp_path}/.lab/ha/{file}"]


def test_a_new_lab_gets_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = lxc.Box("box", "1", tmp_path / "lab.box", tmp_path / "rootfs", tmp_path / "lxc-seed")
    instead: dict[tuple[object, str], Callable[..., object]] = {
        (lxc, "build"): lambda *_: box,
        (siting, "_payload"): lambda *_, **__: Path("/cache/payload"),
        (seed, "prepare"): lambda *_: Path("/cache/seed"),
    }
    for (module, name), played in instead.items():
        monkeypatch.setattr(module, name, played)
    identity = Identity("ha", tmp_path)
    site = siting.make_site(DEFINITION, identity, "lxc", Stage.WORKERS, Timeline(Deaf()), refresh=False)
    assert site.ssh_key == keypair.ensure(identity.state)
    again = siting.renewed(DEFINITION, replace(site, ssh_key=None), Timeline(Deaf()))
    assert again.ssh_key is None, "what a lab's other machines let in, its new ones do"


@pytest.mark.parametrize("builder", [lxc.BUILDER, libvirt.BUILDER])
def test_our_own_boxes_let_nobody_in_by_themselves(builder: tuple[Path, ...]) -> None:
    scripts = [path.read_text() for path in builder if path.suffix == ".sh"]
    assert scripts
    assert not any("authorized_keys" in text for text in [*scripts, Path(customize.__file__).read_text()])
    assert not any(path.suffix == ".pub" for path in builder)
