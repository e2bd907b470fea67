"""What a definition leaves out and the lab derives: addresses and priorities. Shared by rules and topology."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from types import MappingProxyType

from lab.definition.models import Definition, Network
from lab.model.functions import Function

#: Priorities whose skews measured best for up to three masters (at 0.2 s: no race in 26 rounds with 254/200/100).
MEASURED_PRIORITIES = (254, 200, 100)

#: The lowest priority that more than three masters are spread down to, and the most masters that VRRP can rank.
LOWEST_SPREAD = 40
MOST_MASTERS = 254

#: Offset in the subnet of the first node's address; small subnets begin right behind the gateway.
FIRST_OFFSET = 11

#: Each node gets a part of this size of the pods' network.
POD_PREFIX = 24


def gateway(network: Network) -> IPv4Address:
    """The subnet's first host address: the host's side of the lab's network."""
    return network.subnet[1]


def priorities(definition: Definition) -> tuple[int | None, ...]:
    """Each node's VRRP priority in a new lab, in the definition's order: as written, else by its position.

    Only load balancers have one. More of them than VRRP has priorities get the lowest one; the rules refuse that.
    """
    derived = unwritten_priorities(definition, {})
    return tuple(
        own if node.priority is None or own is None else node.priority
        for node, own in zip(definition.nodes, derived, strict=True)
    )


def unwritten_priorities(definition: Definition, kept: Mapping[str, int | None]) -> tuple[int | None, ...]:
    """The priority that each node has by itself: the one that is ``kept``, in a new lab that of its position.

    Beside others that keep theirs a new node gets one that is far from all of them, and that takes the VIP from nobody
    where that can be. None where there is none left, and for nodes that are no load balancers.
    """
    balancers = [node for node in definition.nodes if Function.LOAD_BALANCER in node.functions]
    known = {name: priority for name, priority in kept.items() if priority is not None}
    if not known:
        ladder = iter(_ladder(len(balancers)))
        return tuple(next(ladder) if Function.LOAD_BALANCER in node.functions else None for node in definition.nodes)
    taken = {**known, **{node.name: node.priority for node in balancers if node.priority is not None}}
    for node in balancers:
        if node.name not in known and (apart := _apart(set(taken.values()))) is not None:
            known[node.name] = apart
            taken.setdefault(node.name, apart)
    return tuple(known.get(node.name) if node in balancers else None for node in definition.nodes)


def _apart(taken: set[int]) -> int | None:
    """The priority below the best that is farthest from all that are taken, the lower of two; else any that is free."""
    for candidates in (range(LOWEST_SPREAD, max(taken)), range(1, MOST_MASTERS + 1)):
        distances = {candidate: min(abs(candidate - other) for other in taken) for candidate in candidates}
        found = max(distances, key=lambda candidate: (distances[candidate], -candidate), default=0)
        if distances.get(found):
            return found
    return None


def _ladder(masters: int) -> Sequence[int]:
    if masters <= len(MEASURED_PRIORITIES):
        return MEASURED_PRIORITIES
    lowest = LOWEST_SPREAD if masters <= MOST_MASTERS - LOWEST_SPREAD else 1
    step = max(1, (MOST_MASTERS - lowest) // (masters - 1))
    return [max(1, MOST_MASTERS - step * position) for position in range(masters)]


def addresses(
    definition: Definition, kept: Mapping[str, IPv4Address] = MappingProxyType({})
) -> tuple[IPv4Address | None, ...]:
    """Each node's address in the definition's order: as written, as ``kept``, else the next free one from .11 (or .2).

    None stands for a node for which the subnet has no address left; of a new lab's definition the rules refuse that.
    """
    network = definition.network
    subnet = network.subnet
    taken = {node.address for node in definition.nodes if node.address is not None}
    taken |= {network.vip, gateway(network), *kept.values()}
    last = subnet.num_addresses - 2
    start = FIRST_OFFSET if last - FIRST_OFFSET >= len(definition.nodes) else 2
    free = (subnet[at] for at in (*range(start, last + 1), *range(2, start)) if subnet[at] not in taken)
    return tuple(node.address or kept.get(node.name) or next(free, None) for node in definition.nodes)
