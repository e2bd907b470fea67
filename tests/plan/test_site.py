"""A site as it is recorded: the form of the first version, which labs that are there have, and older ones too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.identity import Identity
from lab.plan.site import RECORDED, Box, ContainerSite, Seed, Site, VirtualSite, record, site_of, undecided

IDENTITY = Identity("ha", Path("/home/somebody/halab"))

#: As the first version wrote them.
CONTAINERS: dict[str, Any] = {
    "provider": "lxc",
    "driver": "",
    "interface": "eth0",
    "box_name": "halab-lxc-0123",
    "box_version": "1.0.0",
    "box_url": "file:///cache/box/lab.box",
    "rootfs": "/my cache/box/rootfs",
    "payload": "/my cache/payload",
    "seed_hook": r"/my\ cache/box/lxc-seed /my\ cache/seed",
    "seed": "/my cache/seed",
    "libvirt_uri": "",
    "daemon": "",
    "emulator": "",
    "image": "",
    "ssh_key": "",
    "cgroups": "v2",
    "patience": 1.5,
}
MACHINES: dict[str, Any] = {
    **dict.fromkeys(CONTAINERS, ""),
    "provider": "libvirt",
    "driver": "qemu",
    "interface": "eth1",
    "box_name": "debian/bookworm64",
    "libvirt_uri": "qemu:///system",
    "daemon": "private",
    "emulator": "/halab/emulator.sh",
    "ssh_key": "ssh-rsa AAAA",
    "cgroups": "v1",
    "patience": 1.0,
}
OF_CONTAINERS = ContainerSite(
    IDENTITY,
    Box("halab-lxc-0123", "1.0.0", "file:///cache/box/lab.box"),
    rootfs=Path("/my cache/box/rootfs"),
    payload=Path("/my cache/payload"),
    seed=Seed(Path("/my cache/box/lxc-seed"), Path("/my cache/seed")),
    cgroups="v2",
    patience=1.5,
)
OF_MACHINES = VirtualSite(
    IDENTITY,
    "qemu",
    "private",
    emulator=Path("/halab/emulator.sh"),
    box=Box("debian/bookworm64"),
    ssh_key="ssh-rsa AAAA",
)


@pytest.mark.parametrize(("written", "site"), [(CONTAINERS, OF_CONTAINERS), (MACHINES, OF_MACHINES)])
def test_what_the_first_version_wrote_is_read_and_written_the_same(written: dict[str, Any], site: Site) -> None:
    assert site_of(IDENTITY, written) == site
    assert list(record(site).items()) == list(written.items())
    assert tuple(written) == RECORDED


@pytest.mark.parametrize("provider", ["lxc", "libvirt"])
def test_of_an_older_one_there_is_what_it_knew(provider: str) -> None:
    site = site_of(IDENTITY, {"provider": provider})
    assert site == undecided(IDENTITY, provider)
    assert (site.provider, site.box, site.payload, site.patience) == (provider, None, None, 1.0)


@pytest.mark.parametrize(
    "damage",
    [
        {"provider": "vmware"},
        {"daemon": "nobody's"},
        {"payload": 7},
        {"patience": "long"},
        {"colour": "green"},
        {"seed_hook": "'", "provider": "lxc", "seed": "/s"},
    ],
)
def test_what_is_none_is_damaged(damage: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        site_of(IDENTITY, {**MACHINES, **damage})


def test_machines_stand_on_what_they_were_made_of() -> None:
    seed = Path("/my cache/seed")
    assert OF_CONTAINERS.stands_on(new=False) == [OF_CONTAINERS.rootfs, OF_CONTAINERS.payload]
    assert OF_CONTAINERS.stands_on(new=True) == [OF_CONTAINERS.rootfs, OF_CONTAINERS.payload, seed]
    assert OF_MACHINES.stands_on(new=True) == []
