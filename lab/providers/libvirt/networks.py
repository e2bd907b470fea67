"""The lab's two libvirt networks: the private one of the definition (eth1), and the one that Vagrant uses (eth0)."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from lab.command import LineSink, Note
from lab.errors import LabError
from lab.plan.virtual import FIRST_MACHINE, Virtual


def private_xml(virtual: Virtual, subnet: IPv4Network) -> str:
    """The definition's subnet: no way out, no DHCP, no name service; the host has its first address."""
    return (
        f"<network><name>{virtual.network}</name>"
        f"<bridge name={quoteattr(virtual.bridge(management=False))} stp='off' delay='0'/>"
        f"<dns enable='no'/>"
        f"<ip address='{subnet[1]}' netmask='{subnet.netmask}'/></network>"
    )


def management_xml(virtual: Virtual, nodes: Sequence[str]) -> str:
    """Vagrant's network: each machine is always given the same address, so nobody has to look for it."""
    network = virtual.management
    hosts = "".join(
        f"<host mac='{virtual.mac(node)}' name='{node}' ip='{virtual.management_address(node)}'/>" for node in nodes
    )
    forward = "" if virtual.management_mode == "none" else f"<forward mode='{virtual.management_mode}'/>"
    return (
        f"<network><name>{virtual.management_network}</name>{forward}"
        f"<bridge name={quoteattr(virtual.bridge(management=True))} stp='off' delay='0'/>"
        f"<ip address='{network[1]}' netmask='{network.netmask}'>"
        f"<dhcp><range start='{network[FIRST_MACHINE]}' end='{network[-2]}'/>{hosts}</dhcp></ip></network>"
    )


def ensure(connection: Any, virtual: Virtual, subnet: IPv4Network, nodes: Sequence[str], sink: LineSink) -> None:
    """Define and start both networks; one that says something else than the definition is made anew.

    Raises LabError when another network of this hypervisor has one of the ranges: only one of them could work.
    """
    wanted = {
        virtual.network: private_xml(virtual, subnet),
        virtual.management_network: management_xml(virtual, nodes),
    }
    existing = {network.name(): network for network in connection.listAllNetworks()}
    for name, network in existing.items():
        if name not in wanted:
            _refuse_overlap(network, (subnet, virtual.management))
    for name, xml in wanted.items():
        found = existing.get(name)
        if found is not None and not same(found.XMLDesc(), xml):
            sink(Note(f"network {name}: made anew, its definition has changed"))
            _remove(found)
            found = None
        if found is None:
            found = connection.networkDefineXML(xml)
            found.setAutostart(1)
        if not found.isActive():
            found.create()
            sink(f"network {name} started")


def remove(networks: Sequence[Any]) -> list[str]:
    """Stop and undefine these networks, with their leases."""
    removed = []
    for network in networks:
        removed.append(f"network {network.name()}")
        _remove(network)
    return removed


def same(existing: str, wanted: str) -> bool:
    """Do two network descriptions say the same in everything that the lab sets?"""
    return _essence(existing) == _essence(wanted)


def ranges(xml: str) -> list[IPv4Network]:
    """The IPv4 networks of a network's description."""
    found = []
    for ip in ElementTree.fromstring(xml).findall("ip"):
        address, mask = ip.get("address"), ip.get("netmask") or ip.get("prefix")
        if address and mask and ip.get("family", "ipv4") == "ipv4":
            found.append(IPv4Network(f"{address}/{mask}", strict=False))
    return found


def _essence(xml: str) -> tuple[object, ...]:
    tree = ElementTree.fromstring(xml)
    forward, bridge = tree.find("forward"), tree.find("bridge")
    hosts = sorted((host.get("mac"), host.get("ip")) for host in tree.findall("ip/dhcp/host"))
    return (
        None if forward is None else forward.get("mode"),
        None if bridge is None else bridge.get("name"),
        ranges(xml),
        hosts,
    )


def _refuse_overlap(network: Any, taken: Sequence[IPv4Network]) -> None:
    for other in ranges(network.XMLDesc()):
        for own in taken:
            if other.overlaps(own):
                raise LabError(
                    f"network {network.name()} of this libvirt has {other}, which overlaps the lab's {own}",
                    "on a system's libvirt all labs share the host: give this lab another network.subnet",
                )


def _remove(network: Any) -> None:
    if network.isActive():
        network.destroy()
    if network.isPersistent():
        network.undefine()
