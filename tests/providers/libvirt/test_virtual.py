"""Names and addresses on the hypervisor: always the same, never another lab's."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from lab.errors import UsageError
from lab.identity import Identity
from lab.plan.virtual import Virtual, management_subnet
from lab.providers.libvirt.connection import belongs

names = some.from_regex(r"\A[a-z]([-a-z0-9]{0,30}[a-z0-9])?\Z")
networks = some.builds(
    lambda address, length: IPv4Network((address, length), strict=False),
    some.integers(0, 2**32 - 1),
    some.integers(8, 29),
)


def virtual(name: str = "ha", folder: str = "/x") -> Virtual:
    identity = Identity(name, Path(folder))
    return Virtual(identity, "private", "qemu", "qemu:///system", management_subnet(identity, []))


@given(names, some.lists(networks, max_size=5))
def test_the_management_network_meets_none_of_the_definitions(name: str, taken: list[IPv4Network]) -> None:
    identity = Identity(name, Path("/x"))
    found = management_subnet(identity, taken)
    assert not any(found.overlaps(network) for network in taken)
    assert found == management_subnet(identity, taken), "the same every time"
    assert found.is_private


@given(names)
def test_interface_names_fit_and_differ(name: str) -> None:
    lab = virtual(name)
    bridges = {lab.bridge(management=True), lab.bridge(management=False)}
    assert len(bridges) == 2
    assert all(len(bridge) <= 15 for bridge in bridges), "Linux's limit"


def test_two_clones_share_no_name() -> None:
    one, other = virtual(folder="/a"), virtual(folder="/b")
    assert one.network != other.network
    assert one.bridge(management=False) != other.bridge(management=False)
    assert one.mac("m1") != other.mac("m1")
    assert one.volume("m1") != other.volume("m1")


def test_every_machine_has_its_own_card_and_address() -> None:
    nodes = [f"node{number}" for number in range(100)]
    lab = replace(virtual(), numbers={node: number for number, node in enumerate(nodes)})
    assert len({lab.mac(node) for node in nodes}) == 100
    addresses = {lab.management_address(node) for node in nodes}
    assert len(addresses) == 100
    assert all(address in lab.management for address in addresses)


def test_a_machine_for_which_the_management_network_is_too_small_is_refused() -> None:
    lab = replace(virtual(), numbers={"last": 244, "late": 245})
    assert lab.management_address("last") == lab.management[254]
    with pytest.raises(UsageError, match="has no address left for late"):
        lab.management_address("late")


def test_a_labs_things_are_told_from_others_by_whole_names() -> None:
    prefix = "ha-3f9c1a"
    assert belongs("ha-3f9c1a", prefix)
    assert belongs("ha-3f9c1a-mgmt", prefix)
    assert belongs("ha-3f9c1a-master1.img", prefix)
    assert not belongs("ha-3f9c1ab", prefix)
    assert not belongs("ha-3f9c1b-master1", prefix)
    assert not belongs("my-ha-3f9c1a-master1", prefix)
    assert not belongs("halab-libvirt-0123_vagrant_box_image_1.0.0_box.img", prefix)
