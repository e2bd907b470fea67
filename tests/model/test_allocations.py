"""What a name was given is its own: a node more or less changes no other one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yamltext import dump

from lab.definition import Definition, check, parse
from lab.definition.models import Keepalived
from lab.definition.vrrp import SAFE_SKEW_GAP, skew
from lab.errors import LabError, UsageError
from lab.identity import Identity
from lab.model.allocations import Allocations, allocate, read, text
from lab.plan import render
from lab.plan.site import Box, ContainerSite
from lab.topology import Node, Topology, derive

SITE = ContainerSite(Identity("ha", Path("/home/somebody/halab")), Box("halab/lxc", "1"))

#: No name is part of another one, or of anything else in a rendered file.
NAMES = ("amber", "birch", "cedar", "dahlia", "elder", "fennel", "ginger", "hazel", "iris", "jasmine")


def definition(nodes: Sequence[tuple[str, str]], **more: object) -> Definition:
    """A lab of these (name, role)."""
    return parse(dump({"nodes": [{"name": name, "role": role} for name, role in nodes], **more}))


def masters(*names: str, **more: object) -> Definition:
    return definition([(name, "master") for name in names], **more)


def lab(wanted: Definition, kept: Allocations) -> Topology:
    return derive(wanted, "", allocate(wanted, kept))


@st.composite
def histories(draw: st.DrawFn) -> list[list[tuple[str, str]]]:
    """The definitions that a lab goes through, a node more or less each, and the order of nodes as it comes."""
    nodes = [(name, "master") for name in NAMES[: draw(st.integers(3, 5))]] + [("worker0", "worker")]
    history = [draw(st.permutations(nodes))]
    for number in range(draw(st.integers(1, 5))):
        nodes = list(nodes)
        removable = [node for node in nodes if node[1] == "worker" or sum(role == "master" for _, role in nodes) > 2]
        if draw(st.booleans()) and len(removable) > 1:
            nodes.remove(draw(st.sampled_from(removable)))
        else:
            role = draw(st.sampled_from(["master", "worker"]))
            nodes.append((f"{NAMES[5 + number]}", role))
        history.append(draw(st.permutations(nodes)))
    return history


@settings(deadline=None, derandomize=True)
@given(histories())
def test_a_node_more_or_less_changes_no_other_one(history: list[list[tuple[str, str]]]) -> None:
    kept: Allocations = {}
    before: dict[str, Node] = {}
    for nodes in history:
        wanted = definition(nodes)
        kept = allocate(wanted, kept)
        now = {node.name: node for node in derive(wanted, "", kept).nodes}
        assert {name: now[name] for name in before.keys() & now.keys()} == {
            name: before[name] for name in before.keys() & now.keys()
        }
        before |= now
        for value in ("address", "pod_subnet", "number"):
            assert len({getattr(one, value) for one in kept.values()}) == len(kept), f"{value} is nobody else's"
        ranks = [one.priority for one in kept.values() if one.priority is not None]
        assert len(set(ranks)) == len(ranks), "the priority of one that is gone is not given to another name either"


def files(topology: Topology, about: Node) -> dict[str, list[str]]:
    """What is rendered for the other nodes, line by line, without what speaks of this one."""
    its = "|".join(re.escape(str(value)) for value in (about.name, about.address, about.pod_subnet))
    said = re.compile(rf"(?<![\w.])({its})(?![\w.]*\w)|Priorities of all masters")
    return {
        path: [line for line in file.content.splitlines() if not said.search(line)]
        for path, file in render(topology, SITE, vagrantfile=False).items()
        if not path.startswith(f"nodes/{about.name}/")
    }


@settings(deadline=None, derandomize=True, max_examples=25)
@given(histories())
def test_of_another_nodes_files_only_the_lines_that_name_it_change(history: list[list[tuple[str, str]]]) -> None:
    kept: Allocations = {}
    before: Topology | None = None
    for nodes in history:
        wanted = definition(nodes)
        kept = allocate(wanted, kept)
        now = derive(wanted, "", kept)
        if before is not None:
            more, less = (now, before) if len(now.nodes) > len(before.nodes) else (before, now)
            (changed,) = (node for node in more.nodes if node not in less.nodes)
            one, other = files(more, changed), files(less, changed)
            if changed == more.control_planes[0]:
                # The cluster begins on the next one now: that is all that an order is good for.
                for name in ("init.sh", "kubeadm-init.yaml"):
                    other.pop(f"nodes/{less.control_planes[0].name}/{name}")
            assert one == other
        before = now


def test_the_order_in_which_nodes_are_written_means_nothing_once_they_are_there() -> None:
    kept = allocate(masters("amber", "birch", "cedar"))
    assert lab(masters("cedar", "amber", "birch"), kept).nodes == lab(masters("amber", "birch", "cedar"), kept).nodes


def test_a_new_node_gets_what_was_never_given() -> None:
    kept = allocate(definition([("amber", "master"), ("birch", "worker"), ("cedar", "worker")]))
    new = lab(definition([("amber", "master"), ("cedar", "worker"), ("dahlia", "worker")]), kept).node("dahlia")
    assert (str(new.address), str(new.pod_subnet), new.number) == ("10.21.0.14", "10.244.3.0/24", 3)


@pytest.mark.parametrize("written", [{}, {"amber": 100, "birch": 90, "cedar": 80}])
def test_a_new_load_balancer_is_far_from_the_others_and_below_the_best(written: dict[str, int]) -> None:
    nodes = [{"name": name, "role": "master", "priority": written.get(name)} for name in ("amber", "birch", "cedar")]
    nodes = [{key: value for key, value in node.items() if value is not None} for node in nodes]
    kept = allocate(parse(dump({"nodes": nodes})))
    topology = lab(parse(dump({"nodes": [*nodes, {"name": "dahlia", "role": "master"}]})), kept)
    assert topology.ranked[0].name == "amber"
    assert topology.node("dahlia").priority == 40
    if not written:
        skews = [skew(node.priority or 0, Keepalived()) for node in topology.ranked]
        assert all(later - earlier >= SAFE_SKEW_GAP for earlier, later in pairwise(skews))


def test_a_priority_that_is_written_no_longer_is_the_nodes_own_again() -> None:
    written = parse("nodes: [{name: amber, role: master, priority: 7}, {name: birch, role: master}]")
    kept = allocate(written)
    assert [node.priority for node in lab(written, kept).nodes] == [7, 200]
    assert [node.priority for node in lab(masters("amber", "birch"), kept).nodes] == [254, 200]


def test_rules_judge_what_nodes_really_have() -> None:
    """In a new lab birch would get 254 and amber 200, which is nobody's here."""
    text = (
        "nodes: [{name: birch, role: master}, {name: amber, role: master}, {name: cedar, role: master, priority: 200}]"
    )
    wanted, kept = parse(text), allocate(masters("amber", "birch", "cedar"))
    (said,) = (problem for problem in check(lab(wanted, kept).definition) if "priority" in problem.wrong)
    assert (said.path, said.wrong[:45]) == ("nodes[2].priority", "priority 200 is also that of nodes[0]: both t")
    (alike,) = (problem for problem in check(lab(wanted, {}).definition) if "priority" in problem.wrong)
    assert alike.path == "nodes[2].priority", "and says by whom that was written"


def test_what_is_used_up_is_said_and_who_still_has_it() -> None:
    network = {"subnet": "10.21.0.0/29", "vip": "10.21.0.6"}
    kept = allocate(masters("amber", "birch", "cedar", "dahlia", network=network))
    with pytest.raises(
        UsageError, match=r"10\.21\.0\.0/29 has no address left for elder; what birch had is kept for them"
    ):
        allocate(masters("amber", "cedar", "dahlia", "elder", network=network), kept)
    two = {"network": {"pods": "10.244.0.0/23"}}
    kept = allocate(masters("amber", "birch", **two))
    with pytest.raises(UsageError, match=r"10\.244\.0\.0/23 has no /24 left for cedar"):
        allocate(masters("amber", "cedar", **two), kept)
    many = [f"m{number}" for number in range(254)]
    kept = allocate(masters(*many, network={"subnet": "10.21.0.0/16"}))
    with pytest.raises(UsageError, match="VRRP has no priority left for elder; what m0 had"):
        allocate(masters(*many[1:], "elder", network={"subnet": "10.21.0.0/16"}), kept)


def test_what_is_kept_is_read_again() -> None:
    given = allocate(definition([("amber", "master"), ("birch", "worker")]))
    assert read(text(given)) == given


@pytest.mark.parametrize("damaged", ["", "{}", "[]", '{"version": 1, "nodes": {"amber": {"address": "10.21.0.300"}}}'])
def test_what_is_damaged_is_no_allocation(damaged: str) -> None:
    with pytest.raises(ValueError):
        read(damaged)


def test_what_a_later_version_kept_is_not_guessed() -> None:
    with pytest.raises(LabError, match="allocations of version 2, and this program knows 1"):
        read('{"version": 2}')
