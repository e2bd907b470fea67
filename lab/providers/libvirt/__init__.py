"""Virtual machines through libvirt: one noun a module, ``provider`` puts them together."""

from __future__ import annotations

from ipaddress import IPv4Interface

from lab.plan.site import VirtualSite
from lab.plan.virtual import virtual_of
from lab.providers.libvirt.daemon import Daemon, RemoteDaemon, SystemDaemon
from lab.providers.libvirt.private import PrivateDaemon
from lab.providers.libvirt.provider import BoxImage, LibvirtProvider
from lab.topology import Topology

__all__ = ["BoxImage", "LibvirtProvider", "make"]


def make(site: VirtualSite, topology: Topology) -> LibvirtProvider:
    """The provider of a lab, as its site says (see ``siting`` for how a new site is chosen)."""
    return LibvirtProvider(
        virtual=virtual_of(topology, site),
        daemon=_daemon(site, topology),
        subnet=topology.subnet,
        nodes=tuple(node.name for node in topology.nodes),
        box=BoxImage(site.box.name, site.box.version, site.image) if site.box and site.image else None,
    )


def _daemon(site: VirtualSite, topology: Topology) -> Daemon:
    if site.daemon == "private":
        return PrivateDaemon.of(site.identity, IPv4Interface(f"{topology.gateway}/{topology.prefix_length}"))
    return RemoteDaemon(site.uri) if site.daemon == "remote" else SystemDaemon(site.uri)
