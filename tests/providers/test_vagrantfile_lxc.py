"""The containers' Vagrantfile judged by Vagrant with the real plugin; golden files of the plan pin its text."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lab.definition import parse
from lab.identity import Identity
from lab.plan import render, write
from lab.plan.site import Box, ContainerSite, Seed
from lab.topology import derive

DEFINITIONS = {
    "default": (Path(__file__).parent.parent.parent / "configs" / "ha.yaml").read_text(),
    "one-master": "nodes: [{name: only, role: master}]",
    "odd": """
        name: odd-one
        network: {subnet: 192.168.77.0/25, vip: 192.168.77.99, port: 6444, pods: 10.80.0.0/14}
        nodes:
          - {name: zeus-1, role: master, address: 192.168.77.40}
          - {name: hera, role: master, memory: 4096}
          - {name: w-0, role: worker}
          - {name: w-1, role: worker, cpus: 7}
    """,
}


def validated(text: str, folder: Path, spoil: tuple[str, str] = ("", "")) -> subprocess.CompletedProcess[str]:
    """What ``vagrant validate`` says of a definition's Vagrantfile, after ``spoil`` replaced one text in it."""
    if shutil.which("vagrant") is None:
        pytest.fail("not installed, so nothing was judged: vagrant (./inv installs it)")
    site = ContainerSite(
        Identity("ha", folder),
        box=Box("halab-lxc-01234567", url="file:///cache/lab.box"),
        rootfs=Path("/cache/rootfs"),
        payload=Path("/cache/payload"),
        seed=Seed(Path("/cache/lxc-seed"), Path("/cache/seed")),
        ssh_key="ssh-rsa AAAA",
    )
    write(render(derive(parse(text), driver=""), site), folder)
    (folder / ".lab/ha").mkdir(parents=True)
    (folder / "ssh_key").touch()  # it wants the key to exist, too
    file = folder / "Vagrantfile"
    assert spoil[0] in file.read_text()
    file.write_text(file.read_text().replace(*spoil) if spoil[0] else file.read_text())
    env = {**os.environ, "VAGRANT_HOME": str(folder / "home"), "VAGRANT_DEFAULT_PROVIDER": "lxc"}
    return subprocess.run(
        ["vagrant", "validate"], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("name", DEFINITIONS)
def test_vagrant_accepts_it(name: str, tmp_path: Path) -> None:
    done = validated(DEFINITIONS[name], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "successfully" in done.stdout


def test_vagrant_would_not_accept_just_anything(tmp_path: Path) -> None:
    done = validated(DEFINITIONS["default"], tmp_path, ("lxc.container_name =", "lxc.container_nam ="))
    assert done.returncode != 0
    assert "container_nam" in done.stdout + done.stderr
