"""What is wanted beside what is there: a list of operations, each of which up carries out or refuses by name."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from lab.definition import parse
from lab.model.allocations import allocate
from lab.model.operations import Add, Operation, Reconfigure, Remove, Replace, Upgrade, operations
from lab.topology import derive

LAB = "nodes: [{name: m1, role: master}, {name: m2, role: master}, {name: w1, role: worker}]\n"


def due(wanted: str, there: str = LAB, gone: Collection[str] = (), driver: str = "") -> list[Operation]:
    """From one definition to another, on the same allocations."""
    old, new = parse(there), parse(wanted)
    given = allocate(new, allocate(old))
    return operations(derive(old, driver, given), derive(new, driver, given), gone)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("{name: w1, role: worker}", "{name: w1, role: worker}, {name: w2, role: worker}", [Add("w2")]),
        (", {name: w1, role: worker}", "", [Remove("w1")]),
        ("w1", "w2", [Remove("w1"), Add("w2")]),
        ("worker}", "worker, memory: 512}", [Replace("w1", ("memory 2048, wanted 512",))]),
        ("worker}", "worker, address: 10.21.0.40}", [Replace("w1", ("address 10.21.0.13, wanted 10.21.0.40",))]),
        ("w1, role: worker", "w1, role: master", [Replace("w1", ("role worker, wanted master",))]),
        ("nodes", "kubernetes: {version: v1.34.2}\nnodes", [Upgrade("v1.20.2", "v1.34.2")]),
        ("nodes", "kubernetes: {audit: {enabled: false}}\nnodes", [Reconfigure("kubernetes")]),
        ("nodes", "network: {port: 8443}\nnodes", [Reconfigure("network")]),
        ("nodes", "machine: {box: {name: debian/bookworm64}}\nnodes", [Reconfigure("machine")]),
    ],
)
def test_what_up_cannot_carry_out_is_refused_by_name(old: str, new: str, expected: list[Operation]) -> None:
    found = due(LAB.replace(old, new))
    assert found == expected
    for operation in found:
        said = operation.refusal
        assert said.startswith(getattr(operation, "node", "") or getattr(operation, "part", "")) or "Kubernetes" in said
        assert "would be" in said, "what it is"
        assert ", and " in said, "and why not"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("m2, role: master", "m2, role: master, priority: 7", [Reconfigure("nodes", "m2")]),
        ("nodes", "keepalived: {advert_interval: 5}\nnodes", [Reconfigure("keepalived")]),
        ("nodes", "haproxy: {retries: 1}\nnodes", [Reconfigure("haproxy")]),
        ("worker}", "worker, address: 10.21.0.13}", []),
        ("worker}", "worker, memory: 2048}", []),
        (
            "{name: m1, role: master}, {name: m2, role: master}",
            "{name: m2, role: master}, {name: m1, role: master}",
            [],
        ),
    ],
)
def test_the_load_balancer_may_change_and_what_means_the_same_is_nothing(
    old: str, new: str, expected: list[Operation]
) -> None:
    found = due(LAB.replace(old, new))
    assert found == expected
    assert [operation.refusal for operation in found] == [""] * len(expected)


def test_a_machine_that_is_gone_is_replaced() -> None:
    assert due(LAB, gone=["w1"]) == [Replace("w1")]
    assert Replace("w1").refusal == ""


def test_processors_that_emulated_machines_do_not_have_are_no_difference() -> None:
    assert due(LAB.replace("worker}", "worker, cpus: 4}"), driver="qemu") == []
    assert due(LAB.replace("worker}", "worker, cpus: 4}")) == [Replace("w1", ("cpus 2, wanted 4",))]
