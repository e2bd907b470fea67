"""Definitions and sites that the plan is tested with."""

from __future__ import annotations

from pathlib import Path

from lab.definition import load
from lab.identity import Identity
from lab.plan import Site
from lab.plan.site import Box, ContainerSite, VirtualSite
from lab.topology import Topology, derive

FOLDER = Path(__file__).resolve().parent.parent.parent

#: Every definition that comes with the project, and those that are odd on purpose.
DEFINITIONS = {
    file.stem: file
    for file in sorted([*(FOLDER / "configs").glob("*.yaml"), *(Path(__file__).parent / "definitions").glob("*.yaml")])
}


def topology(name: str, driver: str = "") -> Topology:
    """The topology of one of them on a driver ("": the one that it asks for, else containers)."""
    definition = load(DEFINITIONS[name])
    asked = "" if definition.libvirt.driver == "auto" else definition.libvirt.driver
    return derive(definition, driver or asked)


def site(provider: str = "lxc", name: str = "ha") -> Site:
    """A site whose paths and names are nobody's."""
    identity = Identity(name, Path("/home/somebody/halab"))
    if provider == "lxc":
        return ContainerSite(
            identity, Box("halab/lxc", "1"), Path("/cache/rootfs"), Path("/cache/payload"), ssh_key="ssh-rsa AAAA"
        )
    return VirtualSite(identity, "kvm", box=Box("halab/libvirt", "1"), payload=Path("/cache/payload"))


def own(lab: Topology) -> Site:
    """The site that a definition asks for: containers, unless it says libvirt."""
    return site("libvirt" if lab.definition.provider == "libvirt" else "lxc", lab.definition.name)
