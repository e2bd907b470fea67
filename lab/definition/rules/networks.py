"""Rules about addresses: everything inside the subnet, nothing twice, no networks that overlap."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from itertools import combinations

from lab.definition.defaults import POD_PREFIX, addresses, gateway
from lab.definition.models import Definition
from lab.definition.problem import Problem, Severity

#: Ports that something else listens on, on every master (kubeadm's documentation, "Ports and Protocols").
TAKEN_PORTS = {
    22: "sshd",
    2379: "etcd",
    2380: "etcd",
    2381: "etcd",
    6443: "the apiserver",
    10248: "the kubelet",
    10249: "kube-proxy",
    10250: "the kubelet",
    10251: "the scheduler",
    10252: "the controller-manager",
    10256: "kube-proxy",
    10257: "the controller-manager",
    10259: "the scheduler",
}

#: Ports that services of type NodePort are given (the apiserver's default range).
NODE_PORTS = range(30000, 32768)


def overlaps(definition: Definition) -> Iterator[Problem]:
    """Host, pod and service networks are apart from each other, and private."""
    network = definition.network
    parts = {"network.subnet": network.subnet, "network.pods": network.pods, "network.services": network.services}
    for (one, left), (other, right) in combinations(parts.items(), 2):
        if left.overlaps(right):
            yield Problem(other, f"{right} overlaps {one} ({left})", "three networks that are apart", also=(one,))
    for path, part in parts.items():
        if part.is_loopback or part.is_link_local or part.is_multicast or part.is_reserved or part.is_unspecified:
            yield Problem(path, f"{part} is reserved for other purposes", "a private network such as 10.21.0.0/24")
        elif not part.is_private:
            wrong = f"{part} is a public network: the machines could not reach the real one"
            yield Problem(path, wrong, "a private network such as 10.21.0.0/24", Severity.WARNING)


def _place(address: IPv4Address, definition: Definition) -> tuple[str, tuple[str, ...]] | None:
    """Why an address cannot be a machine's or the VIP, and the fields that say so."""
    subnet = definition.network.subnet
    if address not in subnet:
        return f"{address} lies outside {subnet}", ("network.subnet",)
    if address in (subnet.network_address, subnet.broadcast_address):
        return f"{address} is the network's own address", ("network.subnet",)
    if address == gateway(definition.network):
        return f"{address} is the host's own address in the lab's network", ("network.subnet",)
    return None


def _free(definition: Definition) -> str:
    """An address that nothing has yet, as advice."""
    subnet = definition.network.subnet
    taken = {*addresses(definition), definition.network.vip, gateway(definition.network)}
    offsets = range(subnet.num_addresses - 2, 0, -1)
    free = next((subnet[offset] for offset in offsets if subnet[offset] not in taken), None)
    return f"a free address of {subnet}" + (f", such as {free}" if free is not None else " (it has none left)")


def virtual_address(definition: Definition) -> Iterator[Problem]:
    """The VIP lies in the subnet and is nobody's own address."""
    reason = _place(definition.network.vip, definition)
    if reason is not None:
        yield Problem("network.vip", reason[0], _free(definition), also=reason[1])


def node_addresses(definition: Definition) -> Iterator[Problem]:
    """Each node has an address in the subnet that is its own."""
    first: dict[IPv4Address, int] = {}
    short = 0
    for index, (node, address) in enumerate(zip(definition.nodes, addresses(definition), strict=True)):
        path = f"nodes[{index}].address"
        if address is None:
            short += 1
            continue
        if node.address is None:
            continue
        reason = _place(address, definition)
        if reason is not None:
            yield Problem(path, reason[0], _free(definition), also=reason[1])
        if address == definition.network.vip:
            yield Problem(path, f"{address} is the VIP", _free(definition), also=("network.vip",))
        if address in first:
            other = f"nodes[{first[address]}].address"
            yield Problem(path, f"{address} is already the address of {other[:-8]}", _free(definition), also=(other,))
        first.setdefault(address, index)
    if short:
        wrong = f"{definition.network.subnet} has no address left for {short} of {len(definition.nodes)} nodes"
        yield Problem("network.subnet", wrong, "a larger subnet", also=("nodes", "network.vip"))


def pod_networks(definition: Definition) -> Iterator[Problem]:
    """Each node gets a /24 of the pods' network."""
    pods = definition.network.pods
    room = 2 ** (POD_PREFIX - pods.prefixlen)
    if len(definition.nodes) > room:
        wrong = f"{pods} has room for {room} nodes (a /{POD_PREFIX} each), there are {len(definition.nodes)}"
        yield Problem("network.pods", wrong, "a larger network", also=("nodes",))


def port(definition: Definition) -> Iterator[Problem]:
    """haproxy's port is free on a master: the VIP has no port of its own, every address of the machine shares it."""
    chosen = definition.network.port
    if chosen in TAKEN_PORTS:
        yield Problem("network.port", f"{chosen} is the port of {TAKEN_PORTS[chosen]} on every master", "16443")
    elif chosen in NODE_PORTS:
        wrong = f"{chosen} lies in Kubernetes' range for node ports ({NODE_PORTS.start}-{NODE_PORTS.stop - 1})"
        yield Problem("network.port", wrong, "16443", Severity.WARNING)


RULES = (overlaps, virtual_address, node_addresses, pod_networks, port)
