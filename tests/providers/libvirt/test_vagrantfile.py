"""The Vagrantfile of virtual machines on four kinds of hosts, pinned, and judged by Vagrant with the real plugin."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lab.definition import parse
from lab.identity import Identity
from lab.plan import render, write
from lab.plan.site import Box, VirtualSite
from lab.topology import Topology, derive

NODES = """
name: ha
nodes:
  - {name: master1, role: master}
  - {name: master2, role: master, cpus: 4}
  - {name: master3, role: master, memory: 4096}
  - {name: worker1, role: worker}
"""

PUBLIC = """
machine: {box: {name: debian/bookworm64, version: 12.20250126.1, url: 'https://boxes.example/bookworm.json',
  checksum: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef}}
"""

BUILT = VirtualSite(
    Identity("ha", Path("/home/somebody/halab")),
    driver="kvm",
    box=Box("halab-libvirt-0123456789abcdef", "1.0.0", "file:///cache/box/libvirt-0123456789abcdef/catalogue.json"),
    payload=Path("/cache/payload"),
    image=Path("/cache/box/libvirt-0123456789abcdef/box.img"),
    ssh_key="ssh-rsa AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBA==",
)

SITES = {
    "kvm": (NODES, BUILT),
    "emulation": (
        NODES,
        replace(BUILT, driver="qemu", daemon="private", emulator=Path("/x/emulator.sh"), payload=None),
    ),
    "remote": (NODES, replace(BUILT, daemon="remote", uri="qemu+ssh://somebody@far/system")),
    "public": (
        NODES + PUBLIC,
        replace(
            BUILT,
            box=Box("debian/bookworm64", "12.20250126.1", "https://boxes.example/bookworm.json"),
            image=None,
        ),
    ),
}


def rendered(kind: str) -> tuple[Topology, dict[str, str]]:
    """All files of one kind of lab."""
    text, site = SITES[kind]
    topology = derive(parse(text), site.driver)
    return topology, {name: file.content for name, file in render(topology, site).items()}


@pytest.mark.parametrize("kind", SITES)
def test_it_is_rendered_as_before(kind: str, golden: Callable[[Path, dict[str, str]], None]) -> None:
    _, files = rendered(kind)
    golden(Path(__file__).parent / "golden" / kind, {"Vagrantfile": files["Vagrantfile"]})


@pytest.mark.parametrize("kind", SITES)
def test_vagrant_accepts_it(kind: str, tmp_path: Path) -> None:
    text, site = SITES[kind]
    if site.payload:  # the plugin wants a folder that is handed to the machines to exist
        (tmp_path / "payload").mkdir()
        site = replace(site, payload=str(tmp_path / "payload"))
    for key in ("ssh_key", "vagrant/insecure_private_key"):  # it wants these to exist, too
        (tmp_path / key).parent.mkdir(exist_ok=True)
        (tmp_path / key).touch(mode=0o600)
    write(render(derive(parse(text), site.driver), site), tmp_path)
    done = vagrant(tmp_path, "validate")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "successfully" in done.stdout


def test_vagrant_would_not_accept_just_anything(tmp_path: Path) -> None:
    text, site = SITES["kvm"]
    write(render(derive(parse(text), site.driver), site), tmp_path)
    file = tmp_path / "Vagrantfile"
    file.write_text(file.read_text().replace("libvirt.memory =", "libvirt.memori ="))
    done = vagrant(tmp_path, "validate")
    assert done.returncode != 0
    assert "memori" in done.stdout + done.stderr


def vagrant(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Vagrant on a rendered lab, with a home of its own."""
    if shutil.which("vagrant") is None:
        pytest.fail("not installed, so nothing was judged: vagrant (./inv installs it)")
    env = {
        **os.environ,
        "VAGRANT_HOME": str(folder / "home"),
        "VAGRANT_DEFAULT_PROVIDER": "libvirt",
        "VAGRANT_CHECKPOINT_DISABLE": "1",
    }
    return subprocess.run(
        ["vagrant", *args], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=120
    )
