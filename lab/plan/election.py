"""Each master as a VRRP router: what its keepalived says to the others, and whom of them it understands. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address

from lab.definition import vrrp
from lab.topology import Node, Topology


@dataclass(frozen=True)
class Router:
    """One master's part in the election.

    ``priority`` is its own, ``bonus`` what a weight adds to it while haproxy is well; ``interval`` in seconds.
    """

    address: IPv4Address
    version: int
    router_id: int
    interval: float
    priority: int
    bonus: int
    preempts: bool
    peers: frozenset[IPv4Address]

    @property
    def rank(self) -> tuple[int, int]:
        """The higher deserves the VIP: by priority while haproxy is well, then by address (RFC 5798, 6.4.3)."""
        return min(vrrp.HIGHEST, self.priority + self.bonus), int(self.address)

    def outranks(self, holder: Router) -> bool:
        """Does it take the VIP from a holder that it hears? One of equal priority does not."""
        return self.preempts and self.rank[0] > holder.rank[0]

    def understands(self, other: Router) -> bool:
        """Do the two heed each other's advertisements?

        Others are dropped: RFC 5798 (7.1) has version, router id and, by the address they come from, peers; RFC 3768
        (7.1) the interval too, which version 3 learns from the holder instead.
        """
        return (
            (self.version, self.router_id) == (other.version, other.router_id)
            and (self.version != 2 or self.interval == other.interval)
            and self.address in other.peers
            and other.address in self.peers
        )

    def skew(self, interval: float) -> float:
        """Seconds from a holder's goodbye until this one takes over, under the longer of both intervals."""
        unit = 1.0 if self.version == 2 else max(interval, self.interval)
        return (256 - self.priority) / 256 * unit

    @property
    def down_timer(self) -> float:
        """Seconds of silence after which it takes over."""
        return vrrp.DOWN_ADVERTS * self.interval + self.skew(self.interval)


def router_of(topology: Topology, node: Node) -> Router:
    """A master as its definition makes it."""
    keepalived = topology.definition.keepalived
    return Router(
        address=node.address,
        version=keepalived.vrrp_version,
        router_id=keepalived.router_id,
        interval=keepalived.advert_interval,
        priority=node.priority or 0,
        bonus=max(0, keepalived.detection.weight),
        preempts=keepalived.preempt,
        peers=frozenset(peer.address for peer in topology.peers(node)),
    )


def read(text: str, address: IPv4Address) -> Router | None:
    """The same from a master's own keepalived.conf; None for one that this project did not write."""
    known = {name: re.search(rf"^\s*{name} ([\d.]+)$", text, re.MULTILINE) for name in _NUMBERS}
    if any(found is None for found in known.values()) or "auth_type" in text:
        return None
    numbers = {name: float(found[1]) for name, found in known.items() if found is not None}
    weight = re.search(r"^vrrp_script haproxy_check \{[^}]*^\s*weight (-?\d+)$", text, re.MULTILINE)
    peers = re.search(r"^\s*unicast_peer \{([\d.\s]*)\}", text, re.MULTILINE)
    return Router(
        address=address,
        version=int(numbers["vrrp_version"]),
        router_id=int(numbers["virtual_router_id"]),
        interval=numbers["advert_int"],
        priority=int(numbers["priority"]),
        bonus=max(0, int(weight[1])) if weight else 0,
        preempts=re.search(r"^\s*nopreempt$", text, re.MULTILINE) is None,
        peers=frozenset(map(IPv4Address, peers[1].split())) if peers else frozenset(),
    )


_NUMBERS = ("vrrp_version", "virtual_router_id", "advert_int", "priority")
