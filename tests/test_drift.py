"""Of what was applied on the machines, what is not the lab's definition?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.definition import parse
from lab.drift import differences
from lab.identity import Identity
from lab.plan import render, write
from lab.plan.site import ContainerSite
from lab.plan.steps import lasting
from lab.provisioning import Script, kept, rendered
from lab.stage import Stage
from lab.topology import Topology, derive

TEXT = "name: ha\nnodes: [{name: m1, role: master}, {name: m2, role: master}, {name: w1, role: worker}]\n"
LAB = derive(parse(TEXT), "")
SLOWER = derive(parse(TEXT + "keepalived: {advert_interval: 5}\n"), "")
SITE = ContainerSite(Identity("ha", Path("/x")))
WANTED = rendered(LAB, SITE)


def seen(stage: Stage, lab: Topology = LAB) -> dict[str, dict[str, Any]]:
    """What machines say that have been through the steps of a stage."""
    scripts = rendered(lab, SITE)
    return {
        node.name: {"steps": {step.name: scripts[node.name, step.name].digest for step in lasting(lab, node, stage)}}
        for node in lab.nodes
    }


def found(
    stage: Stage, observed: Mapping[str, Mapping[str, Any]], folder: Mapping[tuple[str, str], Script] = WANTED
) -> list[str]:
    return list(differences(LAB, stage, WANTED, folder, observed))


@pytest.mark.parametrize("stage", Stage)
def test_a_lab_on_which_its_steps_were_applied_is_what_its_definition_says(stage: Stage) -> None:
    assert found(stage, seen(stage)) == []


def test_further_steps_are_no_difference() -> None:
    """Whether a machine became a member is the cluster's word; the answerer is there for a while only."""
    observed = seen(Stage.WORKERS)
    observed["m1"]["steps"] |= {"init": "before", "answerer": "before"}
    assert found(Stage.WORKERS, observed) == []


def test_another_definition_is_named_by_machine_and_step() -> None:
    assert found(Stage.WORKERS, seen(Stage.WORKERS, SLOWER)) == [
        "keepalived not applied on m1",
        "keepalived not applied on m2",
    ]


def test_a_step_that_was_begun_and_never_ended_is_named() -> None:
    observed = seen(Stage.WORKERS)
    del observed["m2"]["steps"]["haproxy"], observed["w1"]["steps"]["node"]
    observed["m2"]["steps"]["containerd"] = "an older version's"
    assert found(Stage.WORKERS, observed) == ["haproxy, containerd not applied on m2", "node not applied on w1"]


def test_an_earlier_stage_asks_for_less() -> None:
    assert found(Stage.WORKERS, seen(Stage.LOADBALANCER)) == [
        f"containerd, kubernetes not applied on {name}" for name in ("m1", "m2", "w1")
    ]


def test_a_machine_that_is_off_runs_nothing_else_and_one_that_is_silent_may() -> None:
    observed: dict[str, Mapping[str, Any]] = {**seen(Stage.WORKERS), "m1": {"unreachable": "no route to host"}}
    del observed["w1"]
    assert found(Stage.WORKERS, observed) == ["m1 does not say what was applied on it"]


def test_a_script_that_was_edited_in_the_labs_folder_may_have_been_run_by_hand() -> None:
    edited = {**WANTED, ("m2", "haproxy"): replace(WANTED["m2", "haproxy"], text="true\n")}
    assert found(Stage.WORKERS, seen(Stage.WORKERS), edited) == ["haproxy of m2 changed in the lab's folder"]


def test_the_folder_of_a_lab_holds_what_is_rendered(tmp_path: Path) -> None:
    write(render(LAB, SITE), tmp_path)
    assert kept(tmp_path, LAB) == WANTED
