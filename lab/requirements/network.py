"""Addresses and ports of the host that a lab takes.

Containers, and the machines of a libvirt daemon of the lab's own, live in a network namespace: they take none. On the
system's libvirt the lab's networks are the host's, and libvirt's name server answers in one of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from lab.command import run
from lab.plan.site import VirtualSite
from lab.plan.virtual import Virtual, virtual_of
from lab.requirements.finding import Finding, Grade
from lab.requirements.scope import Scope

#: Where a DNS server listens; libvirt's dnsmasq does so on the address that the host has in Vagrant's network.
DNS = 53

#: Sockets of TCP that listen, as /proc/net/tcp has them (include/net/tcp_states.h).
LISTENING = "0A"


def network(scope: Scope) -> Iterator[Finding]:
    """The ranges must be nobody else's, and no other server may have taken port 53 of every address."""
    if not isinstance(scope.site, VirtualSite) or scope.site.daemon != "system":
        yield Finding("host's network", "the lab takes no address and no port of it", Grade.GOOD)
        return
    virtual = virtual_of(scope.topology, scope.site)
    routes = json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]).check().stdout or "[]")
    taken = list(overlaps(routes, virtual, scope.topology.subnet))
    if taken:
        hint = "another network.subnet; Vagrant's range follows the lab's name: --lab NAME"
        yield Finding("host's network", "; ".join(taken), Grade.BAD, hint)
    elif around := list(surroundings(routes, virtual, scope.topology.subnet)):
        hint = "the lab's own route is narrower and wins: what lies behind the other in that range is out of reach"
        yield Finding("host's network", "; ".join(around), Grade.NOTE, hint)
    else:
        ranges = f"{scope.topology.subnet} and {virtual.management}"
        yield Finding("host's network", f"{ranges} are free", Grade.GOOD)
    if any(listens_everywhere(Path(table).read_text(), DNS) for table in _tables()):
        hint = "libvirt's own cannot start beside it: let it listen on single addresses only (bind-interfaces)"
        yield Finding("port 53", "a DNS server listens on every address of this host", Grade.BAD, hint)


def overlaps(routes: Iterable[Mapping[str, Any]], virtual: Virtual, subnet: IPv4Network) -> Iterator[str]:
    """What of the host's routes (`ip -json route`) takes a range of the lab's, or a part of it. Pure.

    A wider one does not (a VPN's default route in two halves, a company's 10.0.0.0/8): the kernel takes the narrowest
    that fits, and libvirt minds only one that is the same as its network's.
    """
    for wanted, there, holder in _foreign(routes, virtual, subnet):
        if there.subnet_of(wanted):
            yield f"{wanted} overlaps {there}, which {holder} has"


def surroundings(routes: Iterable[Mapping[str, Any]], virtual: Virtual, subnet: IPv4Network) -> Iterator[str]:
    """What of the host's routes is wider than a range of the lab's and holds it, the default route left out. Pure."""
    for wanted, there, holder in _foreign(routes, virtual, subnet):
        if there != wanted and there.supernet_of(wanted):
            yield f"{wanted} lies in {there}, which {holder} has"


def _foreign(
    routes: Iterable[Mapping[str, Any]], virtual: Virtual, subnet: IPv4Network
) -> Iterator[tuple[IPv4Network, IPv4Network, str]]:
    """Each range of the lab's with each route, and who has it, but for default routes and those of its own bridges."""
    own = {virtual.bridge(management=False), virtual.bridge(management=True)}
    for route in routes:
        target = str(route.get("dst", "default"))
        if target == "default" or route.get("dev") in own or route.get("type") in ("local", "broadcast"):
            continue
        for wanted in (subnet, virtual.management):
            yield wanted, IPv4Network(target, strict=False), str(route.get("dev", "a route"))


def listens_everywhere(table: str, port: int) -> bool:
    """Does a socket of /proc/net/tcp or tcp6 listen on this port of every address? Pure."""
    for line in table.splitlines()[1:]:
        local, _, state = line.split()[1:4]
        address, _, number = local.partition(":")
        if state == LISTENING and int(number, 16) == port and not address.strip("0"):
            return True
    return False


def _tables() -> list[str]:
    return [table for table in ("/proc/net/tcp", "/proc/net/tcp6") if Path(table).exists()]
