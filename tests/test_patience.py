"""A slow host is given time: every deadline, and what machines are told about theirs, is that many times longer."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from lab.command import CommandTimeout, run
from lab.definition import parse
from lab.errors import UsageError
from lab.identity import Identity
from lab.patience import VARIABLE, patience
from lab.plan import render
from lab.plan.site import ContainerSite
from lab.providers.vagrant import ssh_defaults
from lab.topology import derive
from lab.waiting import WaitTimeout, wait_for

LAB = derive(parse("nodes: [{name: m1, role: master}]"), "")
SITE = ContainerSite(Identity("ha", Path("/x")))


@pytest.mark.parametrize(("told", "factor"), [({}, 1), ({VARIABLE: ""}, 1), ({VARIABLE: "2.5"}, 2.5)])
def test_without_a_word_a_host_is_an_ordinary_one(told: dict[str, str], factor: float) -> None:
    assert patience(told) == factor


@pytest.mark.parametrize("told", ["0", "0.5", "-1", "101", "nan", "inf", "long", "2 s"])
def test_what_is_no_factor_is_refused_by_its_name(told: str) -> None:
    with pytest.raises(UsageError, match=f"{VARIABLE}={re.escape(told)} is no number from 1 to 100"):
        patience({VARIABLE: told})


def test_a_command_is_given_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "20")
    assert run(["sleep", "0.5"], timeout=0.1).ok
    with pytest.raises(CommandTimeout, match="it was given 1 s"):
        run(["sleep", "30"], timeout=0.05)


def test_a_wait_is_longer_and_says_how_long_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "20")
    with pytest.raises(WaitTimeout, match="waited 1 s for nothing") as caught:
        wait_for("nothing", lambda: None, bool, seconds=0.05)
    assert caught.value.seconds == 1


def test_ssh_takes_a_slow_machine_for_a_living_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "ConnectTimeout 5\n" in ssh_defaults(Path("/key"))
    monkeypatch.setenv(VARIABLE, "3")
    told = ssh_defaults(Path("/key"))
    assert "ConnectTimeout 15\n" in told and "ServerAliveCountMax 9\n" in told


def test_kubeadm_is_told_only_where_its_own_limit_does_not_do() -> None:
    def init(factor: float) -> str:
        return render(LAB, replace(SITE, patience=factor))["nodes/m1/kubeadm-init.yaml"].content

    assert "timeoutForControlPlane" not in init(1)
    assert "apiServer:\n  # Four" in init(2.5) and "  timeoutForControlPlane: 600s\n" in init(2.5)
