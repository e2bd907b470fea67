"""What each node was given: it belongs to the node's name, is decided once and kept with the lab. Pure.

What a name has is nobody else's as long as it is kept, also after the definition has dropped the name: the machine may
still be there. So a node more or less changes no other one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import count

from lab.definition.defaults import POD_PREFIX, addresses, unwritten_priorities
from lab.definition.models import Definition, NodeSpec
from lab.errors import LabError, UsageError
from lab.model.functions import Function

#: The form in which allocations are kept.
VERSION = 1


@dataclass(frozen=True)
class Allocation:
    """What one name has. ``priority`` is None but for load balancers; ``number`` is its interface's, from 0.

    What a definition writes itself (an address, a priority) stands above it: see lab.topology.
    """

    address: IPv4Address
    priority: int | None
    pod_subnet: IPv4Network
    number: int


#: By the node's name; names that no definition has any more are among them.
Allocations = Mapping[str, Allocation]


def allocate(definition: Definition, kept: Allocations | None = None) -> Allocations:
    """What is ``kept``, and what the definition's other nodes get. A new lab's get it by their position.

    Raises UsageError when something is used up.
    """
    kept = kept or {}
    taken = {one.pod_subnet for one in kept.values()}
    pods = (part for part in definition.network.pods.subnets(new_prefix=POD_PREFIX) if part not in taken)
    numbers = _numbers([node for node in definition.nodes if node.name not in kept], kept)
    found = zip(
        definition.nodes,
        addresses(definition, {name: one.address for name, one in kept.items()}),
        unwritten_priorities(definition, {name: one.priority for name, one in kept.items()}),
        strict=True,
    )
    given = dict(kept)
    for node, address, priority in found:
        if node.name in kept:
            continue
        pod_subnet = next(pods, None)
        if address is None:
            raise _used_up(f"{definition.network.subnet} has no address", node, definition, kept)
        if pod_subnet is None:
            raise _used_up(f"{definition.network.pods} has no /{POD_PREFIX}", node, definition, kept)
        if priority is None and Function.LOAD_BALANCER in node.functions:
            raise _used_up("VRRP has no priority", node, definition, kept)
        given[node.name] = Allocation(address, priority, pod_subnet, numbers[node.name])
    return given


def settled(definition: Definition, allocations: Allocations) -> Definition:
    """The definition with what its nodes were given where it says nothing itself; that stays unset. So rules see it."""
    nodes = tuple(_settled(node, allocations[node.name]) for node in definition.nodes)
    return definition.model_construct(set(definition.model_fields_set), **{**dict(definition), "nodes": nodes})


def _settled(node: NodeSpec, given: Allocation) -> NodeSpec:
    own = {name: value for name, value in dict(node).items() if value is not None}
    balances = Function.LOAD_BALANCER in node.functions
    defaults = {"address": given.address, **({"priority": given.priority} if balances else {})}
    return node.model_construct(set(node.model_fields_set), **{**dict(node), **defaults, **own})


def _numbers(nodes: Sequence[NodeSpec], kept: Allocations) -> dict[str, int]:
    """New nodes' numbers: the lowest that are free, control planes first."""
    taken = {one.number for one in kept.values()}
    free = (number for number in count() if number not in taken)
    order = sorted(nodes, key=lambda node: Function.CONTROL_PLANE not in node.functions)
    return {node.name: number for node, number in zip(order, free, strict=False)}


def _used_up(what: str, node: NodeSpec, definition: Definition, kept: Allocations) -> UsageError:
    """``what``: that something is used up."""
    gone = [name for name in kept if name not in {one.name for one in definition.nodes}]
    still = f"; what {' and '.join(gone)} had is kept for them, as their machines may still be there" if gone else ""
    return UsageError(
        f"{what} left for {node.name}{still}", "a larger network needs a new lab: ./inv destroy, ./inv up"
    )


def text(allocations: Allocations) -> str:
    """As it is kept in a file."""
    nodes = {
        name: {
            "address": str(one.address),
            "priority": one.priority,
            "pod_subnet": str(one.pod_subnet),
            "number": one.number,
        }
        for name, one in allocations.items()
    }
    return json.dumps({"version": VERSION, "nodes": nodes}, indent=1) + "\n"


def read(said: str) -> Allocations:
    """The same from a file's text. Raises ValueError when it is damaged, LabError when a later version wrote it."""
    try:
        data = json.loads(said)
        if data["version"] != VERSION:
            raise LabError(f"allocations of version {data['version']}, and this program knows {VERSION}")
        return {
            str(name): Allocation(
                IPv4Address(one["address"]),
                None if one["priority"] is None else int(one["priority"]),
                IPv4Network(one["pod_subnet"]),
                int(one["number"]),
            )
            for name, one in data["nodes"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
