"""What rendering needs to know about virtual machines besides the site: names and addresses on the hypervisor. Pure."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from lab.errors import UsageError
from lab.identity import Identity
from lab.plan.site import Daemon, VirtualSite
from lab.topology import Topology

#: First three bytes of QEMU's own MAC addresses (locally administered range of the QEMU project).
MAC_PREFIX = "52:54:00"

#: Where the management networks are taken from: a private range that hardly any office, home or VPN network uses.
MANAGEMENT_RANGE = IPv4Network("172.22.0.0/15")

#: Prefix length of one lab's management network, and the machine's number 0 in it: room for 245 machines.
MANAGEMENT_PREFIX, FIRST_MACHINE = 24, 10

#: Where a private daemon's machines write what they print on their serial console.
CONSOLES = "/var/log/libvirt/qemu"


#: Whom a machine lets in as Vagrant's user.
AUTHORIZED_KEYS = "/home/vagrant/.ssh/authorized_keys"


@dataclass(frozen=True)
class Virtual:
    """One lab on one hypervisor. ``emulator`` is a program in QEMU's place ("" = the hypervisor's own choice).

    ``daemon`` is system, private or remote; ``management`` is the network over which Vagrant reaches the machines
    (eth0), ``numbers`` has each node's number there; ``ssh_key`` the public half of the lab's own key ("" = Vagrant's).
    """

    identity: Identity
    daemon: Daemon
    driver: str
    uri: str
    management: IPv4Network
    numbers: Mapping[str, int] = field(default_factory=dict)
    emulator: str = ""
    ssh_key: str = ""

    @property
    def credential(self) -> str:
        """What the hypervisor tells each machine at every start: the one key that it lets in, "" for Vagrant's.

        systemd, from release 252 on, takes it out of the firmware's strings (systemd.io/CREDENTIALS) and writes it down
        before sshd starts (tmpfiles.extra: systemd-tmpfiles(8), tmpfiles.d(5)).
        """
        if not self.ssh_key:
            return ""
        line = f"f+ {AUTHORIZED_KEYS} 0600 vagrant vagrant - {self.ssh_key}\\n\n"
        return f"io.systemd.credential.binary:tmpfiles.extra={b64encode(line.encode()).decode()}"

    @property
    def network(self) -> str:
        """The libvirt network that carries the lab's subnet."""
        return self.identity.prefix

    @property
    def management_network(self) -> str:
        """The libvirt network of eth0."""
        return f"{self.identity.prefix}-mgmt"

    @property
    def management_mode(self) -> str:
        """A system's daemon gives the machines a way out (stock boxes install from it); a private one has none."""
        return "none" if self.daemon == "private" else "nat"

    @property
    def console(self) -> str:
        """The folder of the machines' console logs on the hypervisor, "" where Vagrant could not make them."""
        return CONSOLES if self.daemon == "private" else ""

    @property
    def disk_cache(self) -> str:
        """Emulated machines do not wait for the host's disk: they are slow enough, and a lab's loss is none."""
        return "unsafe" if self.driver == "qemu" else "writeback"

    def bridge(self, management: bool) -> str:
        """A bridge's name: at most 15 characters, the same at every start."""
        return f"hl{_digest(self.identity.prefix)[:10]}{'m' if management else ''}"

    def mac(self, node: str) -> str:
        """The MAC address of a machine's eth0."""
        digest = _digest(self.identity.machine(node))
        return f"{MAC_PREFIX}:{digest[0:2]}:{digest[2:4]}:{digest[4:6]}"

    def management_address(self, node: str) -> IPv4Address:
        """A machine's address on eth0. Raises UsageError when the network has none left."""
        offset = FIRST_MACHINE + self.numbers[node]
        if offset > self.management.num_addresses - 2:
            raise UsageError(
                f"{self.management} has no address left for {node}", "fewer virtual machines, or a new lab"
            )
        return self.management[offset]

    def volume(self, node: str) -> str:
        """A machine's disk in the storage pool, as vagrant-libvirt calls it."""
        return f"{self.identity.machine(node)}.img"


def virtual_of(topology: Topology, site: VirtualSite) -> Virtual:
    """The hypervisor's side of a lab."""
    network = topology.definition.network
    return Virtual(
        identity=site.identity,
        daemon=site.daemon,
        driver=site.driver or "kvm",
        uri=site.uri,
        management=management_subnet(site.identity, (network.subnet, network.pods, network.services)),
        numbers={node.name: node.number for node in topology.nodes},
        emulator=str(site.emulator or ""),
        ssh_key=site.ssh_key or "",
    )


def management_subnet(identity: Identity, taken: Iterable[IPv4Network]) -> IPv4Network:
    """A network for eth0 that overlaps none of ``taken``: the same every time, and most likely not another lab's."""
    candidates = list(MANAGEMENT_RANGE.subnets(new_prefix=MANAGEMENT_PREFIX))
    start = int(_digest(identity.prefix), 16) % len(candidates)
    avoided = list(taken)
    for candidate in candidates[start:] + candidates[:start]:
        if not any(candidate.overlaps(network) for network in avoided):
            return candidate
    for candidate in IPv4Network("192.168.0.0/16").subnets(new_prefix=MANAGEMENT_PREFIX):
        if not any(candidate.overlaps(network) for network in avoided):
            return candidate
    raise ValueError("the definition's networks leave no private range for the management network")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
