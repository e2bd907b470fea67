"""What a definition leaves out and the lab derives: addresses and priorities. Shared by rules and topology."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

from lab.definition.models import Definition, Network
from lab.model.functions import Function

#: Priorities whose skews measured best for up to three masters (at 0.2 s: no race in 26 rounds with 254/200/100).
MEASURED_PRIORITIES = (254, 200, 100)

#: The lowest priority that more than three masters are spread down to, and the most masters that VRRP can rank.
LOWEST_SPREAD = 40
MOST_MASTERS = 254

#: Offset in the subnet of the first node's address; small subnets begin right behind the gateway.
FIRST_OFFSET = 11


def gateway(network: Network) -> IPv4Address:
    """The subnet's first host address: the host's side of the lab's network."""
    return network.subnet[1]


def priorities(definition: Definition) -> tuple[int | None, ...]:
    """Each node's VRRP priority in the definition's order: as written, else by its position among the load balancers.

    Others have none. More of them than VRRP has priorities get the lowest one; the rules refuse that.
    """
    ladder = _ladder(sum(Function.LOAD_BALANCER in node.functions for node in definition.nodes))
    found: list[int | None] = []
    position = 0
    for node in definition.nodes:
        if Function.LOAD_BALANCER not in node.functions:
            found.append(None)
            continue
        found.append(node.priority if node.priority is not None else ladder[position])
        position += 1
    return tuple(found)


def _ladder(masters: int) -> Sequence[int]:
    if masters <= len(MEASURED_PRIORITIES):
        return MEASURED_PRIORITIES
    lowest = LOWEST_SPREAD if masters <= MOST_MASTERS - LOWEST_SPREAD else 1
    step = max(1, (MOST_MASTERS - lowest) // (masters - 1))
    return [max(1, MOST_MASTERS - step * position) for position in range(masters)]


def addresses(definition: Definition) -> tuple[IPv4Address | None, ...]:
    """Each node's address in the definition's order: as written, else the next free one from .11 (or .2) on.

    None stands for a node for which the subnet has no address left; the rules refuse that.
    """
    network = definition.network
    subnet = network.subnet
    taken = {node.address for node in definition.nodes if node.address is not None}
    taken |= {network.vip, gateway(network)}
    last = subnet.num_addresses - 2
    start = FIRST_OFFSET if last - FIRST_OFFSET >= len(definition.nodes) else 2
    offset = start
    found: list[IPv4Address | None] = []
    for node in definition.nodes:
        if node.address is not None:
            found.append(node.address)
            continue
        while offset <= last and subnet[offset] in taken:
            offset += 1
        found.append(subnet[offset] if offset <= last else None)
        offset += 1
    return tuple(found)
