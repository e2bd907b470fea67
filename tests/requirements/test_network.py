"""Who has an address or a port of the host that a lab on the system's libvirt wants."""

from __future__ import annotations

import json
import socket
import subprocess
from ipaddress import IPv4Network
from pathlib import Path

import needs
import pytest

from lab.identity import Identity
from lab.plan.virtual import Virtual
from lab.requirements.network import listens_everywhere, overlaps

SUBNET = IPv4Network("10.21.0.0/24")
VIRTUAL = Virtual(Identity("ha", Path("/x")), "system", "kvm", "qemu:///system", IPv4Network("172.22.7.0/24"))


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ({"dst": "10.0.0.0/8", "dev": "tun0"}, ["10.21.0.0/24 overlaps 10.0.0.0/8, which tun0 has"]),
        ({"dst": "172.22.7.9", "dev": "eth0"}, ["172.22.7.0/24 overlaps 172.22.7.9/32, which eth0 has"]),
        ({"dst": "172.16.0.0/12", "type": "blackhole"}, ["172.22.7.0/24 overlaps 172.16.0.0/12, which a route has"]),
        ({"dst": "default", "dev": "eth0"}, []),
        ({"dst": "192.168.122.0/24", "dev": "virbr0"}, []),
        ({"dst": "10.21.0.1", "dev": "lo", "type": "local"}, []),
        ({"dst": "10.21.0.0/24", "dev": VIRTUAL.bridge(management=False)}, []),
        ({"dst": "172.22.7.0/24", "dev": VIRTUAL.bridge(management=True)}, []),
    ],
)
def test_a_range_that_is_somebody_elses_is_named(route: dict[str, str], said: list[str]) -> None:
    assert list(overlaps([route], VIRTUAL, SUBNET)) == said


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
