"""Machines of a real lab go and come back; nobody repairs anything."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from judging import BACK, NODES, Shared, all_well
from running import Inv

pytestmark = pytest.mark.live


class TestPower:
    """Machines go and come back; nobody repairs anything."""

    def test_a_masters_power_is_cut_and_comes_back(self, lab: Shared, tmp_path: Path) -> None:
        lab.healthy()
        victim = lab.holder
        assert f"{victim} is off" in lab.inv("power", "off", victim).out
        status = json.loads(lab.inv("status", "--json", status=1).out)
        assert next(machine["state"] for machine in status["machines"] if machine["name"] == victim) == "stopped"
        assert any(victim in problem for problem in status["problems"])
        moved = lab.inv.until(lambda seen: len(seen["holders"]) == 1, "another holder", 30)
        assert moved["holders"] != [victim]
        lab.inv("kubectl", "get", "--raw", "/readyz")
        lab.inv("kubectl", "create", "namespace", "while-it-was-off")
        lab.inv("power", "on", victim)
        all_well(lab, tmp_path)
        assert lab.holder == victim, "the best master takes the virtual IP back"
        lab.inv("kubectl", "delete", "namespace", "while-it-was-off", "--wait=false")

    def test_halt_and_resume(self, lab: Shared, tmp_path: Path) -> None:
        lab.inv("kubectl", "create", "configmap", "kept", "--from-literal", "word=remembered")
        lab.inv("halt", seconds=300)
        assert {machine["state"] for machine in lab.inv.status()["machines"]} == {"stopped"}
        lab.inv("resume", seconds=BACK + 60)
        all_well(lab, tmp_path)
        assert remembered(lab.inv)

    @pytest.mark.parametrize("victims", [["master2"], ["master1", "master3", "worker1"]], ids=" ".join)
    def test_up_lets_frozen_machines_go_on(self, victims: list[str], lab: Shared, tmp_path: Path) -> None:
        """As somebody froze them by hand: no ledger knows of it."""
        for victim in victims:
            lab.inv("enter", "lxc-freeze", "--name", lab.inv.identity.machine(victim))
        states = {machine["name"]: machine["state"] for machine in lab.inv.status()["machines"]}
        assert {name for name, state in states.items() if state == "paused"} == set(victims)
        done = lab.inv.up(seconds=BACK + 60)
        assert done.seconds < BACK, "nothing waits for a machine that stands still"
        all_well(lab, tmp_path)

    @pytest.mark.parametrize("command", ["resume", "up"])
    def test_all_machines_killed_at_once(self, command: str, lab: Shared, tmp_path: Path) -> None:
        killed = kill_all(lab.inv)
        assert sorted(killed) == NODES
        lab.inv.until(all_stopped, "machines killed", 60)
        done = lab.inv(command, seconds=BACK + 120)
        steps = {step for machine, step in re.findall(r"✓ +(\w+) +(\w+)", done.out) if machine != "host"}
        assert steps <= {"switch"}, "nobody repairs anything"
        all_well(lab, tmp_path)
        assert remembered(lab.inv)

    def test_the_host_restarts(self, lab: Shared, tmp_path: Path) -> None:
        """With the machines goes all that the host keeps in memory: the lab's network, and ssh's connections."""
        kill_all(lab.inv)
        lab.inv.until(all_stopped, "machines killed", 60)
        name = lab.inv.identity.namespace
        inside = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=True).stdout
        for pid in inside.split():
            with contextlib.suppress(ProcessLookupError):  # ssh's connections end by themselves
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "delete", name], check=True)
        shutil.rmtree(Path("/run/halab") / lab.inv.identity.prefix)
        assert "./inv resume" in lab.inv("enter", "true", status=None).expect(1).err
        assert {machine["state"] for machine in lab.inv.status()["machines"]} == {"stopped"}
        lab.inv("resume", seconds=BACK + 120)
        all_well(lab, tmp_path)
        assert remembered(lab.inv)
        assert "nothing had to change" in lab.inv.up().out


def all_stopped(status: Mapping[str, Any]) -> bool:
    """Is every machine off?"""
    return {machine["state"] for machine in status["machines"]} == {"stopped"}


def remembered(inv: Inv) -> bool:
    """Does the cluster still have what it was given before it went?"""
    return inv("kubectl", "get", "configmap", "kept", "-o", "jsonpath={.data.word}").out == "remembered"


def kill_all(inv: Inv) -> list[str]:
    """SIGKILL to the first process of every machine, at once: what a host's crash does. Returns their names."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            groups, status = (process / "cgroup").read_text(), (process / "status").read_text()
        except OSError:  # it has ended
            continue
        machine = re.search(rf"lxc\.payload\.{inv.identity.prefix}-([a-z0-9-]+)", groups)
        inside = re.search(r"^NSpid:\s*(.*)$", status, re.MULTILINE)
        if machine and inside and inside[1].split()[1:] == ["1"]:
            found[machine[1]] = int(process.name)
    for pid in found.values():
        os.kill(pid, signal.SIGKILL)
    return list(found)
