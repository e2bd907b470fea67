"""What is derived from a definition: addresses, priorities, pod networks, who is next."""

from __future__ import annotations

from itertools import pairwise

import pytest
from yamltext import dump

from lab.definition import check, parse
from lab.definition.models import Keepalived
from lab.definition.vrrp import SAFE_SKEW_GAP, skew
from lab.errors import UsageError
from lab.model.functions import Function, short_form
from lab.stage import Stage
from lab.topology import Topology, derive


def lab(masters: int, workers: int = 1, **more: object) -> Topology:
    """A lab of that many nodes."""
    nodes = [{"name": f"m{i}", "role": "master"} for i in range(masters)]
    nodes += [{"name": f"w{i}", "role": "worker"} for i in range(workers)]
    return derive(parse(dump({"nodes": nodes, **more})), driver="")


def test_addresses_begin_at_eleven_in_the_definitions_order() -> None:
    assert [str(node.address) for node in lab(3).nodes] == ["10.21.0.11", "10.21.0.12", "10.21.0.13", "10.21.0.14"]


def test_addresses_step_around_the_vip_and_around_written_ones() -> None:
    topology = derive(
        parse(
            "network: {vip: 10.21.0.12}\n"
            "nodes: [{name: a, role: master}, {name: b, role: worker}, {name: c, role: worker, address: 10.21.0.13}]"
        ),
        driver="",
    )
    assert [str(node.address) for node in topology.nodes] == ["10.21.0.11", "10.21.0.14", "10.21.0.13"]


def test_a_small_subnet_is_used_from_its_second_address_on() -> None:
    topology = lab(3, network={"subnet": "192.168.7.8/29", "vip": "192.168.7.14"})
    assert [str(node.address)[-2:] for node in topology.nodes] == ["10", "11", "12", "13"]
    assert str(topology.gateway) == "192.168.7.9"


def test_a_node_more_at_the_end_changes_no_other_node() -> None:
    assert lab(3, 2).nodes[:4] == lab(3, 1).nodes


def test_masters_come_first_each_role_in_its_order() -> None:
    text = "nodes: [{name: w, role: worker}, {name: b, role: master}, {name: a, role: master}, {name: c, role: master}]"
    topology = derive(parse(text), driver="")
    assert [node.name for node in topology.nodes] == ["b", "a", "c", "w"]
    assert [node.name for node in topology.control_planes] == ["b", "a", "c"]
    assert [node.name for node in topology.peers(topology.node("a"))] == ["b", "c"]


def test_a_role_is_the_short_form_of_functions() -> None:
    topology = lab(2, 1)
    assert topology.control_planes == topology.etcd_members == topology.load_balancers == topology.nodes[:2]
    assert topology.workers == topology.having(Function.WORKER) == topology.nodes[2:]
    assert [node.role for node in topology.nodes] == ["master", "master", "worker"]
    assert short_form(frozenset({Function.ETCD})) == "etcd", "what has no short form is called by its functions"


def test_workers_are_the_clusters_from_their_stage_on() -> None:
    members = {stage: [node.name for node in lab(2, 1).members(stage)] for stage in Stage}
    assert members == {
        Stage.MACHINES: [],
        Stage.LOADBALANCER: [],
        Stage.CONTROL_PLANE: ["m0", "m1"],
        Stage.WORKERS: ["m0", "m1", "w0"],
    }


def test_every_node_has_a_pod_network_of_its_own() -> None:
    subnets = [node.pod_subnet for node in lab(3, 20).nodes]
    assert str(subnets[0]) == "10.244.0.0/24"
    assert len(set(subnets)) == 23


@pytest.mark.parametrize(("masters", "expected"), [(1, [254]), (2, [254, 200]), (3, [254, 200, 100])])
def test_up_to_three_masters_get_the_measured_priorities(masters: int, expected: list[int]) -> None:
    assert [node.priority for node in lab(masters).load_balancers] == expected


@pytest.mark.parametrize("masters", [2, 3, 4, 5])
def test_derived_priorities_keep_the_skews_apart(masters: int) -> None:
    topology = lab(masters)
    skews = [skew(node.priority or 0, Keepalived()) for node in topology.ranked]
    assert all(later - earlier >= SAFE_SKEW_GAP for earlier, later in pairwise(skews))
    assert not [problem for problem in check(topology.definition) if "priority" in problem.path]


@pytest.mark.parametrize("masters", [7, 9, 50, 254])
def test_more_masters_still_have_different_priorities_and_a_warning(masters: int) -> None:
    topology = lab(masters, network={"subnet": "10.21.0.0/16"}, keepalived={"advert_interval": 0.2})
    priorities = [node.priority or 0 for node in topology.load_balancers]
    assert len(set(priorities)) == masters
    assert min(priorities) >= 1
    assert any("may take over" in problem.wrong for problem in check(topology.definition))


def test_masters_are_ranked_by_priority_then_by_the_higher_address() -> None:
    text = (
        "nodes: [{name: a, role: master, priority: 100}, {name: b, role: master, priority: 100},"
        " {name: c, role: master, priority: 150}]"
    )
    assert [node.name for node in derive(parse(text), driver="").ranked] == ["c", "b", "a"]


def test_a_node_that_does_not_exist_is_answered_with_those_that_do() -> None:
    with pytest.raises(UsageError, match="there is no node m9") as caught:
        lab(1).node("m9")
    assert caught.value.hint == "one of: m0, w0"


def test_sizes_are_the_machines_unless_the_node_says_otherwise() -> None:
    text = "machine: {cpus: 3, memory: 3000}\nnodes: [{name: a, role: master, memory: 4000}, {name: b, role: worker}]"
    assert [(node.cpus, node.memory) for node in derive(parse(text), driver="").nodes] == [(3, 4000), (3, 3000)]
