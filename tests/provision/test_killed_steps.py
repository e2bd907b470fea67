"""A step that dies before any of its commands is brought to its end by its next run: no restart due is forgotten."""

from __future__ import annotations

from pathlib import Path

import needs
import pytest
from rooted import killed_at_every_command

from lab.definition import load
from lab.identity import Identity
from lab.machine import whole
from lab.plan import render
from lab.plan.site import ContainerSite
from lab.provisioning.step import BEGIN
from lab.topology import derive

HA = Path(__file__).parents[2] / "configs/ha.yaml"

#: What was different when the machine went through the step the last time, in the words of its script.
BEFORE = {
    "node": [
        ("ip_forward=1", "ip_forward=0"),
        ("Type=oneshot\n", "# before\nType=oneshot\n"),
        ("MaxSessions 100", "MaxSessions 9"),
    ],
    "haproxy": [("ExecStopPost=", "# before\nExecStopPost="), ("maxconn 4000", "maxconn 3999")],
    "keepalived": [("RestartSec=1\n", "RestartSec=2\n"), ("router_id master1", "router_id before")],
    "containerd": [("version = 2", "version = 1"), ('"0.4.0"', '"0.3.0"')],
    "kubernetes": [
        ("RestartSec=1\n", "RestartSec=2\n"),
        ("Type=oneshot\n", "# before\nType=oneshot\n"),
        ("enable --quiet", "start kubelet.service\nsystemctl enable --quiet"),
    ],
    "answerer": [("RestartSec=1\n", "RestartSec=2\n"), ("SECONDS = 5", "SECONDS = 4")],
}


def script(step: str) -> str:
    """A step of the default lab's first master."""
    topology = derive(load(HA), "")
    site = ContainerSite(Identity("ha", Path("/home/somebody/halab")))
    return render(topology, site, vagrantfile=False)[f"nodes/master1/{step}.sh"].content


def judged(now: str, before: str, place: Path) -> None:
    begin = BEGIN.format(step="it")
    kills, wrong = killed_at_every_command(whole(begin + now), whole(before) if before else "", place)
    assert wrong == []
    assert kills > 10


@needs.root
@pytest.mark.long
@pytest.mark.parametrize("step", BEFORE)
def test_the_first_run_is_killed_before_any_of_its_commands(step: str, tmp_path: Path) -> None:
    judged(script(step), "", tmp_path)


@needs.root
@pytest.mark.parametrize("step", BEFORE)
def test_the_run_that_changes_something_is_killed_before_any_of_its_commands(step: str, tmp_path: Path) -> None:
    now = before = script(step)
    for new, old in BEFORE[step]:
        assert new in before
        before = before.replace(new, old)
    judged(now, before, tmp_path)


@needs.root
def test_haproxy_whose_own_file_alone_changed_takes_it_in(tmp_path: Path) -> None:
    now = script("haproxy")
    judged(now, now.replace("maxconn 4000", "maxconn 3999"), tmp_path)
