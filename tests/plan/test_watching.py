"""A promise that verify cannot measure within its probes' lifetime is told before anything begins."""

from __future__ import annotations

import pytest
from samples import DEFINITIONS, topology

from lab.definition import parse
from lab.faults.kind import Situation
from lab.faults.kinds import KINDS
from lab.plan.show import risks
from lab.plan.watching import BESIDE, LIFETIME, needed, unwatchable
from lab.topology import Topology, derive
from lab.verify.actions import PATIENCE, SETTLED
from lab.verify.checks.cluster import POD_RUNS
from lab.verify.runner import SETTLE, STEADY

NODES = "nodes: [{name: m1, role: master}, {name: m2, role: master}, {name: w, role: worker}]\n"


def made(settings: str) -> Topology:
    return derive(parse(NODES + settings), driver="")


@pytest.mark.parametrize("name", DEFINITIONS)
def test_whatever_comes_with_the_project_can_be_measured(name: str) -> None:
    assert not unwatchable(topology(name))
    assert not [risk for risk in risks(topology(name)) if "to measure" in risk]


def test_checks_once_a_day_are_refused_and_plan_says_so() -> None:
    lab = made("haproxy: {check: {inter: 86400, fall: 100}}")
    (told,) = [risk for risk in risks(lab) if "to measure" in risk]
    assert told.startswith("with these timers power-cut, pause may take 17280352 s to measure")
    assert told.endswith(", and verify's probes end after 900 s: it refuses them")


def test_what_is_never_noticed_needs_no_watching_until_it_is() -> None:
    lab = made("keepalived: {hang_check: {enabled: false}, detection: {how: script, test: listening, weight: 0}}")
    promise = KINDS["haproxy-hang"].promise
    assert promise is not None
    hang = promise(Situation(lab))
    assert hang.outage is None and needed(hang) == BESIDE


def test_a_way_back_that_takes_too_long_counts_as_well() -> None:
    lab = made("keepalived: {detection: {how: script, weight: 0, interval: 60, timeout: 5, fall: 1, rise: 20}}")
    promises = [promise(Situation(lab)) for name in unwatchable(lab) if (promise := KINDS[name].promise)]
    assert [made for made in promises if made.outage and made.outage.most * 2 < LIFETIME - BESIDE]


def test_what_a_case_waits_for_beside_its_promises_is_counted() -> None:
    assert BESIDE >= SETTLE + STEADY + 2 * (PATIENCE + SETTLED) + POD_RUNS + 15
