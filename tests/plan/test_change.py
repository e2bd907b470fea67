"""In which order a load balancer in use is changed, how often the VIP moves then, and for how long nobody has it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import topology

from lab.definition import parse
from lab.oracle.failover import GRAIN
from lab.plan.change import RESTART, Change, change
from lab.plan.election import Router, router_of
from lab.topology import Topology, derive

MASTERS = ("master1", "master2", "master3")


def made(priorities: str = "254, 200, 100", **keepalived: object) -> Topology:
    """Masters of these priorities, with these settings of keepalived (as YAML flow values)."""
    nodes = [f"{{name: master{n}, role: master, priority: {p}}}" for n, p in enumerate(priorities.split(","), 1)]
    said = ", ".join(f"{name}: {value}" for name, value in keepalived.items())
    return derive(parse(f"nodes: [{', '.join(nodes)}]\nkeepalived: {{{said}}}\n"), "")


def routers(lab: Topology) -> dict[str, Router]:
    """Every master as the lab has it."""
    return {node.name: router_of(lab, node) for node in lab.load_balancers}


def changed(old: Topology, new: Topology, holder: str = "master1", due: Collection[str] = MASTERS) -> Change:
    """The change from one lab to the other."""
    return change(new, routers(old), holder, due)


def order(planned: Change) -> list[str]:
    """Who is changed, in turn; those side by side in one word."""
    return ["+".join(turn.nodes) for turn in planned.turns]


def test_another_interval_is_rolled_from_the_lowest_upwards() -> None:
    planned = changed(made(), made(advert_interval=0.5))
    assert (planned.rolling, planned.stopped) == (True, ())
    assert order(planned) == ["master3", "master2", "master1"]
    assert [turn.holder for turn in planned.turns] == ["master1", "master1", "master1"]
    assert planned.moves == 2
    # The second master's skew under the longer of both intervals: (256 - 200)/256 of half a second.
    assert planned.vacant == pytest.approx(56 / 256 * 0.5 + GRAIN)


@pytest.mark.parametrize(("old", "new"), [("ha", "article"), ("article", "ha"), ("ha", "kubeadm-doc")])
def test_another_version_is_given_to_the_holder_alone(old: str, new: str) -> None:
    planned = changed(topology(old), topology(new))
    assert (planned.rolling, planned.stopped) == (False, ("master2", "master3"))
    assert order(planned) == ["master1", "master2+master3"]
    assert planned.moves == 1
    assert "do not understand each other" in planned.reason


def test_a_holder_that_nobody_replaces_waits_for_its_checks_and_its_down_timer() -> None:
    planned = changed(
        made(), made("100, 90, 80", vrrp_version=2, advert_interval=1, detection="{how: script, rise: 2}")
    )
    ready = 1 + 2 * (2 - 1)  # the script's timeout, and one interval more until the second good run
    assert planned.vacant == pytest.approx(RESTART + ready + 3 + 156 / 256 + GRAIN)


def test_another_router_id_does_not_mix_with_the_old_one() -> None:
    assert not changed(made(), made(router_id=60)).rolling


def test_in_version_two_another_interval_does_not_mix_with_the_old_one() -> None:
    two = made(vrrp_version=2, advert_interval=1)
    assert not changed(two, made(vrrp_version=2, advert_interval=2)).rolling
    assert changed(two, made(vrrp_version=2, advert_interval=1, garp="{repeat: 5}")).rolling


def test_priorities_that_rise_begin_with_the_best_or_each_would_outrank_the_one_before() -> None:
    planned = changed(made("100, 90, 80"), made("250, 240, 230"))
    assert order(planned) == ["master1", "master3", "master2"]
    assert planned.moves == 2


def test_another_best_master_takes_the_vip_and_keeps_it() -> None:
    falling = changed(made("254, 200, 100"), made("100, 200, 150"))
    assert order(falling) == ["master3", "master2", "master1"]
    assert [turn.holder for turn in falling.turns] == ["master1", "master1", "master2"]
    assert falling.moves == 1
    rising = changed(made("200, 150, 100"), made("200, 150, 254"))
    assert order(rising) == ["master3", "master2", "master1"]
    assert {turn.holder for turn in rising.turns} == {"master3"}
    assert (rising.moves, rising.vacant) == (1, GRAIN)


def test_the_others_alone_move_nothing() -> None:
    planned = changed(made(), made(garp="{repeat: 5}"), due=("master2", "master3"))
    assert (order(planned), planned.moves, planned.vacant) == (["master3", "master2"], 0, GRAIN)
    assert str(planned) == "no move of the VIP, at most 150 ms without a holder"


def test_a_weight_counts_as_long_as_haproxy_is_well() -> None:
    script = "{how: script, weight: 20}"
    plain, bonus = made("100, 90, 80", detection="{how: script, weight: -30}"), made("100, 90, 80", detection=script)
    planned = changed(plain, bonus)
    assert order(planned) == ["master1", "master3", "master2"], "120 outranks 100: the best comes first"
    assert planned.moves == 2


def test_what_is_not_known_is_not_mixed_with() -> None:
    planned = change(made(), {**routers(made()), "master3": None}, "master1", MASTERS)
    assert (planned.rolling, planned.stopped) == (False, ("master2", "master3"))


def test_one_master_has_nobody_to_hand_over_to() -> None:
    planned = changed(made("254"), made("254", advert_interval=0.5), due=("master1",))
    assert (planned.rolling, planned.stopped, order(planned), planned.moves) == (False, (), ["master1"], 1)
    assert planned.vacant > RESTART


def test_a_master_that_was_made_anew_comes_in_between() -> None:
    there = {name: router for name, router in routers(made()).items() if name != "master1"}
    planned = change(made(advert_interval=0.5), there, "master2", MASTERS)
    assert order(planned) == ["master1", "master3", "master2"]
    assert planned.moves == 1


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data())
def test_the_vip_moves_twice_at_most_and_ends_where_it_belongs(data: st.DataObject) -> None:
    """Whatever the priorities were and become, whoever is due; judged by playing the turns."""
    count = data.draw(st.integers(1, 6))
    names = [f"m{n}" for n in range(count)]
    base = derive(parse(f"nodes: [{', '.join(f'{{name: {name}, role: master}}' for name in names)}]\n"), "")
    ranks = st.lists(st.integers(1, 254), min_size=count, max_size=count, unique=True)
    old, new = (
        {
            node.name: replace(router_of(base, node), priority=priority)
            for node, priority in zip(base.load_balancers, data.draw(ranks), strict=True)
        }
        for _ in range(2)
    )
    due = data.draw(st.sets(st.sampled_from(names), min_size=1))
    lab = made_of(base, {**old, **{name: new[name] for name in due}})
    holder = max(old, key=lambda name: old[name].priority)
    planned = change(lab, old, holder, due)

    running, takes = dict(old), 0
    for turn in planned.turns if planned.rolling else ():
        (name,) = turn.nodes
        del running[name]
        if holder == name:
            holder, takes = max(running, key=lambda other: running[other].priority), takes + 1
        running[name] = new[name]
        if running[name].priority > running[holder].priority:
            holder, takes = name, takes + 1
        assert turn.holder == holder
    assert takes <= planned.moves <= 2
    if planned.rolling:
        assert holder == max(running, key=lambda name: running[name].priority)


def made_of(lab: Topology, wanted: dict[str, Router]) -> Topology:
    """The lab with these priorities."""
    nodes = tuple(replace(node, priority=wanted[node.name].priority) for node in lab.nodes)
    return replace(lab, nodes=nodes)
