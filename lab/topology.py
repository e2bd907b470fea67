"""What follows from a definition: every node with its address, priority and pod network. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from itertools import islice
from typing import Literal

from lab.definition.defaults import addresses, gateway, priorities
from lab.definition.driver import EMULATION, resolve
from lab.definition.models import Definition
from lab.errors import UsageError

POD_PREFIX = 24


@dataclass(frozen=True)
class Node:
    """One machine. ``index`` is its position among the nodes of its role, from 0; ``memory`` is in MiB."""

    name: str
    role: Literal["master", "worker"]
    index: int
    address: IPv4Address
    priority: int | None
    cpus: int
    memory: int
    pod_subnet: IPv4Network

    @property
    def is_master(self) -> bool:
        """Does it run a control plane and the load balancer?"""
        return self.role == "master"

    @property
    def is_first(self) -> bool:
        """Is it the master on which the cluster begins?"""
        return self.is_master and self.index == 0


@dataclass(frozen=True)
class Topology:
    """The whole lab: its nodes (masters first, each role in the definition's order) and its addresses.

    ``driver`` is that of its machines, ``definition`` what was written, resolved for it (see lab.definition.driver).
    """

    definition: Definition
    driver: str
    nodes: tuple[Node, ...]

    @cached_property
    def masters(self) -> tuple[Node, ...]:
        """The control planes."""
        return tuple(node for node in self.nodes if node.is_master)

    @cached_property
    def workers(self) -> tuple[Node, ...]:
        """The other nodes."""
        return tuple(node for node in self.nodes if not node.is_master)

    @cached_property
    def ranked(self) -> tuple[Node, ...]:
        """The masters in the order in which they deserve the VIP: by priority, then by address (RFC 5798, 6.4.3)."""
        return tuple(sorted(self.masters, key=lambda node: (-(node.priority or 0), -int(node.address))))

    @property
    def vip(self) -> IPv4Address:
        """The virtual IP."""
        return self.definition.network.vip

    @property
    def port(self) -> int:
        """haproxy's port."""
        return self.definition.network.port

    @property
    def endpoint(self) -> str:
        """The cluster's address for everybody: VIP:PORT."""
        return f"{self.vip}:{self.port}"

    @property
    def subnet(self) -> IPv4Network:
        """The machines' network."""
        return self.definition.network.subnet

    @property
    def prefix_length(self) -> int:
        """The subnet's."""
        return self.subnet.prefixlen

    @cached_property
    def gateway(self) -> IPv4Address:
        """The subnet's first address, which is the host's side."""
        return gateway(self.definition.network)

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    def node(self, name: str) -> Node:
        """The node of that name. Raises UsageError when there is none."""
        try:
            return self._by_name[name]
        except KeyError:
            raise UsageError(f"there is no node {name}", "one of: " + ", ".join(self._by_name)) from None

    def peers(self, node: Node) -> tuple[Node, ...]:
        """The other masters."""
        return tuple(master for master in self.masters if master.name != node.name)


def derive(definition: Definition, driver: str) -> Topology:
    """The topology, on machines of this driver, of a definition that ``lab.definition.load`` has let pass."""
    definition = resolve(definition, driver)
    slices = islice(definition.network.pods.subnets(new_prefix=POD_PREFIX), len(definition.nodes))
    counts = {"master": 0, "worker": 0}
    nodes = []
    derived = zip(definition.nodes, addresses(definition), priorities(definition), slices, strict=True)
    for spec, address, priority, pod_subnet in derived:
        assert address is not None, "the rules let no definition pass whose subnet is too small"
        machine = definition.machine
        cpus = spec.cpus if spec.cpus is not None else machine.cpus
        nodes.append(
            Node(
                name=spec.name,
                role=spec.role,
                index=counts[spec.role],
                address=address,
                priority=priority,
                cpus=1 if driver == EMULATION else cpus,  # further ones would only wait for each other
                memory=spec.memory if spec.memory is not None else machine.memory,
                pod_subnet=pod_subnet,
            )
        )
        counts[spec.role] += 1
    return Topology(definition, driver, tuple(sorted(nodes, key=lambda node: not node.is_master)))
