"""The load balancer of a lab in use is changed by ``up``: the VIP stays with somebody, as promised."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from labs import made
from running import Inv

from lab.context import open_lab
from lab.definition import parse
from lab.operations.verification import view
from lab.plan.change import Change, change
from lab.plan.election import router_of
from lab.topology import Topology, derive
from lab.verify.watch import Passage, watched

pytestmark = pytest.mark.live

NAME = "e2e-change"

MASTERS = ("master1", "master2", "master3")

#: Settings by what is new in them; each follows the one before.
SETTINGS = {
    "first": ("254, 200, 100", ""),
    "another interval": ("254, 200, 100", "{advert_interval: 0.3}"),
    "lower priorities": ("150, 100, 50", "{advert_interval: 0.3}"),
    "higher ones": ("254, 200, 160", "{advert_interval: 0.3}"),
    "another best master": ("100, 200, 160", "{advert_interval: 0.3}"),
    "another version": ("100, 200, 160", "{vrrp_version: 2, advert_interval: 1}"),
    "and back": ("254, 200, 100", "{advert_interval: 0.2}"),
}


def definition(of: str) -> str:
    """A lab with these settings."""
    priorities, keepalived = SETTINGS[of]
    nodes = [
        f"{{name: {name}, role: master, priority: {p}}}" for name, p in zip(MASTERS, priorities.split(","), strict=True)
    ]
    return f"name: {NAME}\nnodes: [{', '.join(nodes)}]\nkeepalived: {keepalived or '{}'}\n"


def topology(of: str) -> Topology:
    """The same, derived for containers."""
    return derive(parse(definition(of)), "")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The definition's file, which is written anew for each change."""
    file = tmp_path_factory.mktemp("definition") / f"{NAME}.yaml"
    file.write_text(definition("first"))
    return file


@pytest.fixture(scope="module")
def lab(containers: None, place: Path) -> Iterator[Inv]:
    """Three masters with their load balancer, the first one holding the VIP."""
    with made(NAME, place) as lab:
        lab.up("--until", "loadbalancer")
        yield lab


def given(lab: Inv, place: Path, new: str) -> tuple[Passage, str]:
    """Change the settings; returns what the masters saw meanwhile, and what ``up`` said."""
    place.write_text(definition(new))
    running = view(open_lab(NAME))
    with watched(running, lab.state / "runs" / f"seen-{new.replace(' ', '-')}") as seen:
        said = lab.up("--until", "loadbalancer", "--verbose").out
    return seen(), said


def promised(old: str, new: str) -> Change:
    """What is promised of a change."""
    before = topology(old)
    now = {node.name: router_of(before, node) for node in before.load_balancers}
    return change(topology(new), now, before.ranked[0].name, MASTERS)


@pytest.mark.parametrize(
    ("old", "new"), list(zip(list(SETTINGS), list(SETTINGS)[1:], strict=False)), ids=list(SETTINGS)[1:]
)
def test_the_vip_moves_as_often_as_promised_and_is_missed_no_longer(lab: Inv, place: Path, old: str, new: str) -> None:
    before, planned = lab.status(), promised(old, new)
    assert before["holders"] == [topology(old).ranked[0].name]
    seen, said = given(lab, place, new)
    assert seen.doubt == ""
    assert seen.moves <= planned.moves <= 2, said
    assert seen.vacant <= planned.vacant, said
    assert lab.status()["holders"] == [topology(new).ranked[0].name]
    told = re.search(r"the load balancer has changed: .* without a holder; (.*): " + re.escape(str(planned)), said)
    assert told is not None, said
    assert told[1] == "as promised"
    for node in topology(new).load_balancers:
        assert f"\n    priority {node.priority}\n" in lab.on(node.name, "cat /etc/keepalived/keepalived.conf")
