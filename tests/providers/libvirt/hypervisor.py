"""A hypervisor that is libvirt's own test driver, and machines on it as vagrant-libvirt makes them."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from lab.plan.virtual import Virtual
from lab.providers.libvirt import connection as virt
from lab.providers.libvirt import domains, networks, volumes
from lab.providers.libvirt.leftovers import Notes

SUBNET = IPv4Network("10.21.0.0/24")
NODES = ("m1", "m2")

HOST = """<node><cpu><mhz>1000</mhz><model>x</model><active>2</active><nodes>1</nodes><sockets>1</sockets>
<cores>2</cores><threads>1</threads></cpu><memory>8000000</memory>
<pool type='dir'><name>default</name><target><path>/images</path></target></pool>
<network><name>someone-elses</name><bridge name='virbr9'/><ip address='192.168.77.1' netmask='255.255.255.0'/></network>
<domain type='test'><name>someone-elses</name><memory>1024</memory><os><type>hvm</type></os></domain>
</node>"""

CARDS = "<interface type='network'><source network='{0}'/></interface>"


def silent(_line: str) -> None:
    """A sink for words that the test does not look at."""


def machine(host: Any, virtual: Virtual, node: str, cards: int = 2, *, disk: bool = True) -> Any:
    """A machine as vagrant-libvirt makes it, off."""
    interfaces = CARDS.format(virtual.network) * cards
    domain = host.defineXML(
        f"<domain type='test'><name>{virtual.identity.machine(node)}</name><memory>1024</memory>"
        f"<os><type>hvm</type></os><devices>{interfaces}</devices></domain>"
    )
    if disk:
        volume(host, virtual.volume(node))
    return domain


def volume(host: Any, name: str) -> Any:
    pool = host.storagePoolLookupByName("default")
    return pool.createXML(f"<volume><name>{name}</name><capacity>1048576</capacity></volume>")


def lab(host: Any, virtual: Virtual) -> dict[str, Any]:
    """The whole lab, running."""
    networks.ensure(host, virtual, SUBNET, NODES, silent)
    machines = {node: machine(host, virtual, node) for node in NODES}
    for domain in machines.values():
        domains.start(domain)
    return machines


def notes(tmp_path: Path) -> Notes:
    """What Vagrant remembers of its machines."""
    return Notes(tmp_path / ".vagrant")


def left_of(connection: Any, prefix: str) -> list[str]:
    """All that this libvirt has of a lab, in words."""
    found = [f"machine {domain.name()}" for domain in virt.named(connection.listAllDomains(), prefix)]
    found += [f"volume {volume.name()}" for volume in volumes.mine(connection, prefix)]
    found += [f"network {network.name()}" for network in virt.named(connection.listAllNetworks(), prefix)]
    return found
