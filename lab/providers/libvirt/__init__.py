"""Virtual machines through libvirt: one noun a module, ``provider`` puts them together."""

from __future__ import annotations

from ipaddress import IPv4Interface
from pathlib import Path

from lab.plan.site import Site
from lab.plan.virtual import virtual_of
from lab.providers.libvirt.daemon import Daemon, RemoteDaemon, SystemDaemon
from lab.providers.libvirt.private import PrivateDaemon
from lab.providers.libvirt.provider import BoxImage, LibvirtProvider
from lab.topology import Topology

__all__ = ["BoxImage", "LibvirtProvider", "make"]


def make(site: Site, topology: Topology) -> LibvirtProvider:
    """The provider of a lab, as its site says (see ``siting`` for how a new site is chosen)."""
    virtual = virtual_of(topology, site)
    assert virtual is not None, "a site of another provider"
    return LibvirtProvider(
        virtual=virtual,
        daemon=_daemon(site, topology),
        subnet=topology.subnet,
        nodes=tuple(node.name for node in topology.nodes),
        box=BoxImage(site.box_name, site.box_version, Path(site.image)) if site.image else None,
    )


def _daemon(site: Site, topology: Topology) -> Daemon:
    if site.daemon == "private":
        return PrivateDaemon.of(site.identity, IPv4Interface(f"{topology.gateway}/{topology.prefix_length}"))
    return RemoteDaemon(site.libvirt_uri) if site.daemon == "remote" else SystemDaemon(site.libvirt_uri)
