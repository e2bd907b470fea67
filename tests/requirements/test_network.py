"""Who has an address or a port of the host that a lab on the system's libvirt wants."""

from __future__ import annotations

import json
import socket
import subprocess
from ipaddress import IPv4Network
from pathlib import Path

import needs
import pytest

from lab.command import Result
from lab.definition import load
from lab.identity import Identity
from lab.plan.site import VirtualSite
from lab.plan.virtual import Virtual
from lab.project import FOLDER
from lab.requirements import network
from lab.requirements.finding import Grade
from lab.requirements.network import listens_everywhere, overlaps, surroundings
from lab.requirements.scope import Scope
from lab.stage import Stage
from lab.topology import derive

SUBNET = IPv4Network("10.21.0.0/24")
VIRTUAL = Virtual(Identity("ha", Path("/x")), "system", "kvm", "qemu:///system", IPv4Network("172.22.7.0/24"))


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ({"dst": "10.21.0.0/24", "dev": "wg0"}, ["10.21.0.0/24 overlaps 10.21.0.0/24, which wg0 has"]),
        ({"dst": "172.22.7.9", "dev": "eth0"}, ["172.22.7.0/24 overlaps 172.22.7.9/32, which eth0 has"]),
        (
            {"dst": "172.22.7.128/25", "type": "blackhole"},
            ["172.22.7.0/24 overlaps 172.22.7.128/25, which a route has"],
        ),
        ({"dst": "10.0.0.0/8", "dev": "tun0"}, []),
        ({"dst": "default", "dev": "eth0"}, []),
        ({"dst": "192.168.122.0/24", "dev": "virbr0"}, []),
        ({"dst": "10.21.0.1", "dev": "lo", "type": "local"}, []),
        ({"dst": "10.21.0.0/24", "dev": VIRTUAL.bridge(management=False)}, []),
        ({"dst": "172.22.7.0/24", "dev": VIRTUAL.bridge(management=True)}, []),
    ],
)
def test_a_range_that_is_somebody_elses_is_named(route: dict[str, str], said: list[str]) -> None:
    assert list(overlaps([route], VIRTUAL, SUBNET)) == said


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ({"dst": "10.0.0.0/8", "dev": "tun0"}, ["10.21.0.0/24 lies in 10.0.0.0/8, which tun0 has"]),
        ({"dst": "172.16.0.0/12", "type": "blackhole"}, ["172.22.7.0/24 lies in 172.16.0.0/12, which a route has"]),
        ({"dst": "0.0.0.0/1", "dev": "tun0"}, ["10.21.0.0/24 lies in 0.0.0.0/1, which tun0 has"]),
        ({"dst": "128.0.0.0/1", "dev": "tun0"}, ["172.22.7.0/24 lies in 128.0.0.0/1, which tun0 has"]),
        ({"dst": "default", "dev": "eth0"}, []),
        ({"dst": "10.21.0.0/24", "dev": "wg0"}, []),
        ({"dst": "10.21.0.0/20", "dev": VIRTUAL.bridge(management=False)}, []),
    ],
)
def test_a_wider_route_is_told_apart_from_one_that_takes_the_range(route: dict[str, str], said: list[str]) -> None:
    assert list(surroundings([route], VIRTUAL, SUBNET)) == said


@pytest.mark.parametrize(
    ("target", "grade"),
    [("10.0.0.0/8", Grade.NOTE), ("0.0.0.0/1", Grade.NOTE), ("10.21.0.0/24", Grade.BAD), ("10.99.0.0/16", Grade.GOOD)],
)
def test_a_lab_is_refused_for_the_hosts_routes_only_where_its_own_would_not_win(
    target: str, grade: Grade, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes = json.dumps([{"dst": target, "dev": "tun0"}, {"dst": "default", "dev": "eth0"}])
    monkeypatch.setattr(network, "run", lambda argv: Result(" ".join(argv), 0, routes, "", 0.0))
    site = VirtualSite(VIRTUAL.identity, "kvm")
    topology = derive(load(FOLDER / "configs" / "ha.yaml"), "kvm")
    first = next(network.network(Scope(topology, site, Stage.WORKERS, (), topology.nodes)))
    assert (first.subject, first.grade) == ("host's network", grade)


def test_the_hosts_own_routes_can_be_read() -> None:
    needs.programs("ip")
    shown = subprocess.run(
        ["ip", "-json", "-4", "route", "show", "table", "all"], capture_output=True, text=True, check=True
    )
    assert list(overlaps(json.loads(shown.stdout or "[]"), VIRTUAL, IPv4Network("203.0.113.0/24"))) == []


@pytest.mark.parametrize(
    ("family", "address", "table", "everywhere"),
    [
        (socket.AF_INET, "0.0.0.0", "/proc/net/tcp", True),
        (socket.AF_INET, "127.0.0.1", "/proc/net/tcp", False),
        (socket.AF_INET6, "::", "/proc/net/tcp6", True),
        (socket.AF_INET6, "::1", "/proc/net/tcp6", False),
    ],
)
def test_a_server_on_every_address_is_told_from_one_on_a_single_one(
    family: socket.AddressFamily, address: str, table: str, everywhere: bool
) -> None:
    with socket.socket(family) as server:
        server.bind((address, 0))
        port = server.getsockname()[1]
        assert not listens_everywhere(Path(table).read_text(), port), "it does not listen yet"
        server.listen()
        assert listens_everywhere(Path(table).read_text(), port) is everywhere
