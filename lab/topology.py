"""What follows from a definition: every node with its address, priority and pod network. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network

from lab.definition.defaults import gateway
from lab.definition.driver import EMULATION, resolve
from lab.definition.models import Definition, MachineDefaults, NodeSpec
from lab.errors import UsageError
from lab.model.allocations import Allocation, Allocations, allocate, settled
from lab.model.functions import Function, Functions, short_form
from lab.stage import Stage

#: What makes a node one of those that the cluster has before its workers.
CONTROL: Functions = frozenset({Function.CONTROL_PLANE, Function.ETCD})


@dataclass(frozen=True)
class Node:
    """One machine. ``priority`` is that of a load balancer, None for others; ``memory`` is in MiB; ``number``
    its interface's, from 0.
    """

    name: str
    functions: Functions
    address: IPv4Address
    priority: int | None
    cpus: int
    memory: int
    pod_subnet: IPv4Network
    number: int

    def has(self, function: Function) -> bool:
        """Is it there for this?"""
        return function in self.functions

    @property
    def role(self) -> str:
        """What people call it."""
        return short_form(self.functions)


@dataclass(frozen=True)
class Topology:
    """The whole lab: its nodes (control planes first, else in the order in which they came to it) and its addresses.

    ``driver`` is that of its machines, ``definition`` what was written, resolved for it (see lab.definition.driver)
    and with what its nodes were given.
    """

    definition: Definition
    driver: str
    nodes: tuple[Node, ...]

    def having(self, function: Function) -> tuple[Node, ...]:
        """The nodes that are there for this."""
        return tuple(node for node in self.nodes if node.has(function))

    @cached_property
    def control_planes(self) -> tuple[Node, ...]:
        """Those with an apiserver, at least one; the cluster begins on the first."""
        return self.having(Function.CONTROL_PLANE)

    @cached_property
    def etcd_members(self) -> tuple[Node, ...]:
        """Those with a member of etcd."""
        return self.having(Function.ETCD)

    @cached_property
    def load_balancers(self) -> tuple[Node, ...]:
        """Those with haproxy and keepalived, which elect the holder of the VIP."""
        return self.having(Function.LOAD_BALANCER)

    @cached_property
    def workers(self) -> tuple[Node, ...]:
        """Those that are there for pods alone."""
        return self.having(Function.WORKER)

    def members(self, stage: Stage) -> tuple[Node, ...]:
        """The cluster's nodes at a stage."""
        if not stage.has_kubernetes:
            return ()
        return tuple(node for node in self.nodes if stage is Stage.WORKERS or node.functions & CONTROL)

    @cached_property
    def ranked(self) -> tuple[Node, ...]:
        """The load balancers in the order of who deserves the VIP: by priority, then address (RFC 5798, 6.4.3)."""
        return tuple(sorted(self.load_balancers, key=lambda node: (-(node.priority or 0), -int(node.address))))

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
        """The other load balancers."""
        return tuple(other for other in self.load_balancers if other.name != node.name)


def derive(definition: Definition, driver: str, allocations: Allocations | None = None) -> Topology:
    """The topology, on machines of this driver, of a definition that ``lab.definition.load`` has let pass.

    Each node has what was allocated to its name, unless the definition itself says otherwise; without ``allocations``
    what it gets in a new lab.
    """
    given = allocate(definition) if allocations is None else allocations
    definition = settled(resolve(definition, driver), given)
    nodes = [_node(spec, given[spec.name], definition.machine, driver) for spec in definition.nodes]
    order = sorted(nodes, key=lambda node: (not node.has(Function.CONTROL_PLANE), node.number))
    return Topology(definition, driver, tuple(order))


def _node(spec: NodeSpec, given: Allocation, machine: MachineDefaults, driver: str) -> Node:
    assert spec.address is not None, "it is settled"
    cpus = spec.cpus if spec.cpus is not None else machine.cpus
    return Node(
        name=spec.name,
        functions=spec.functions,
        address=spec.address,
        priority=spec.priority,
        cpus=1 if driver == EMULATION else cpus,  # further ones would only wait for each other
        memory=spec.memory if spec.memory is not None else machine.memory,
        pod_subnet=given.pod_subnet,
        number=given.number,
    )
