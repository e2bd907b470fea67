"""Real virtual machines, emulated where there is no KVM: power, pause, snapshots, and what killed commands leave."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from judging import lets_in_who_has_the_labs_own_key_alone
from labs import made
from running import FOLDER, Inv, healthy, names, until

from lab.project import DEFAULT_DEFINITION
from lab.providers.libvirt import connection as virt
from lab.providers.libvirt import domains, volumes

pytestmark = pytest.mark.live

#: Two addresses of everything; the timers follow the driver.
SMALL = """
name: e2e-cut
provider: libvirt
libvirt: {driver: qemu}
network: {subnet: 10.77.0.0/24, vip: 10.77.0.50}
machine: {memory: 256}
nodes:
  - {name: left, role: master}
  - {name: right, role: master}
  - {name: hand, role: worker}
"""

#: Who answers behind the VIP, asked from this host's side of the lab's network.
ASK = """
import ssl, sys, urllib.request
context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE
print(urllib.request.urlopen(sys.argv[1], context=context, timeout=10).headers["X-Answered-By"])
"""


@pytest.fixture(scope="session")
def virtual_machines() -> None:
    """Skips where no virtual machines can be made by this user."""
    if os.geteuid() != 0 and not Path("/run/libvirt/libvirt-sock").exists():
        # A right that this user was not given (see needs): neither root nor in the group of a system's daemon.
        pytest.skip("a libvirt daemon of the lab's own needs root")


def bring_up(lab: Inv, *, seconds: float = 1500.0) -> str:
    """``up`` to the load balancer; the limit allows for building the box once on a busy host."""
    return lab("up", "--provider", "libvirt", "--until", "loadbalancer", seconds=seconds).out


def answers(lab: Inv) -> str:
    """The node that answered behind the VIP, "" when none did."""
    url = f"https://{lab.status()['endpoint']}/readyz"
    return lab("enter", "python3", "-c", ASK, url, status=None).out.strip()


def held_by(lab: Inv, node: str, seconds: float = 120.0) -> None:
    """Wait until one node alone holds the VIP and something answers behind it."""
    lab.until(lambda status: status["holders"] == [node], f"the VIP on {node}", seconds)
    until(lambda: answers(lab), bool, "an answer behind the VIP", 60)


def test_the_default_definition_comes_up_and_survives_a_power_cut(virtual_machines: None) -> None:
    """The definition that ``up`` takes by itself: on a host without KVM its timers are those of emulated machines."""
    with made("e2e-vm", DEFAULT_DEFINITION) as lab:
        said = bring_up(lab)
        assert "10.21.0.100:16443 answers" in said
        emulated = json.loads((lab.state / "site.json").read_text())["driver"] == "qemu"
        assert ("unset timers follow the driver, as machines are emulated" in said) == emulated
        status = lab.until(healthy, "a healthy lab", 120)
        machines = ["master1", "master2", "master3", "worker1"]
        assert (status["provider"], names(status, "machines")) == ("libvirt", machines)
        held_by(lab, "master1")
        lets_in_who_has_the_labs_own_key_alone(lab, "worker1")
        lab("power", "off", "master1")
        held_by(lab, "master2")
        assert answers(lab) in ("master2", "master3"), "the dead machine's answerer is out"
        lab("power", "on", "master1")
        held_by(lab, "master1", 240)
        lab.until(healthy, "a healthy lab", 120)
        again = lab("up", "--until", "loadbalancer", seconds=120)
        assert "nothing had to change" in again.out
        assert lab("destroy").seconds <= 30


@pytest.mark.long
def test_four_machines_with_snapshots(virtual_machines: None) -> None:
    with made("e2e-vms", FOLDER / "configs" / "emulation.yaml") as lab:
        bring_up(lab)
        held_by(lab, "master1")
        _a_lost_machine_comes_back(lab, "master1")
        _moments_are_kept(lab)
        _faults_move_the_vip(lab)
        assert "4 machines off" in lab("halt", seconds=400).out
        assert lab("resume", seconds=600).out.count("running") == 4
        lab.until(healthy, "a healthy lab", 120)


def _a_lost_machine_comes_back(lab: Inv, node: str) -> None:
    """The VIP's holder is gone with its disk: another one holds it until ``up`` has made the machine anew."""
    others = [name for name in names(lab.status(), "machines") if name != node]
    booted = {name: lab.on(name, "cat /proc/sys/kernel/random/boot_id") for name in others}
    lab.on(node, "touch /root/of-its-first-life")
    with virt.connect(f"qemu+unix:///system?socket=/run/{lab.identity.namespace}/libvirt/libvirt-sock") as libvirt:
        domains.remove(libvirt.lookupByName(lab.identity.machine(node)))
        (disk,) = [
            one for one in volumes.mine(libvirt, lab.identity.prefix) if lab.identity.machine(node) in one.name()
        ]
        disk.delete()
    lab.until(lambda status: status["holders"] == ["master2"], "the VIP on master2", 120)
    bring_up(lab)
    held_by(lab, node, 240)
    lab.until(healthy, "a healthy lab", 120)
    lab("ssh", node, "test -e /root/of-its-first-life", status=1)
    assert {name: lab.on(name, "cat /proc/sys/kernel/random/boot_id") for name in others} == booted, "left alone"


def _moments_are_kept(lab: Inv) -> None:
    """A snapshot keeps disks and memory of all machines; restored, clocks are right and the lab is well."""
    lab.on("master2", "echo before | tee /root/told; nohup sleep 4242 > /dev/null 2>&1 & echo $! > /root/pid")
    lab("snapshot", "one", seconds=300)
    # The five seconds are what the clocks must be found to have lost.
    lab.on("master2", "echo after | tee /root/told; kill $(cat /root/pid); sleep 5")
    lab("restore", "one", seconds=600)
    assert lab.on("master2", "cat /root/told").strip() == "before"
    assert "4242" in lab.on("master2", "pgrep -a sleep"), "memory came back too"
    for machine in names(lab.status(), "machines"):
        # Read inside against the hardware clock: over ssh the time would be old when it arrives.
        told = lab.on(machine, "echo $(( $(date +%s) - $(cat /sys/class/rtc/rtc0/since_epoch) ))")
        assert abs(int(told)) <= 1, f"{machine}'s clock is {told} s off"
    lab.until(healthy, "a healthy lab", 120)
    refused = lab("restore", "no-such", status=64)
    assert "there are: one" in refused.err


def _faults_move_the_vip(lab: Inv) -> None:
    """Stopped haproxy, power cut, pause: the VIP moves and comes back, and the figures stand beside the promises."""
    cases = ["haproxy-stop", "power-cut", "pause"]
    options = [word for case in cases for word in ("--case", case)]
    lab("verify", *options, seconds=900, status=None)
    verdict: dict[str, Any] = json.loads((lab.runs("verify")[-1] / "verdict.json").read_text())
    found = {
        (case["case"], check["check"]): (check["outcome"], check["measured"], check["promised"])
        for case in verdict["cases"]
        for check in case["verdicts"]
    }
    for case in cases:
        for check in ("moved", "came-back"):
            assert found[case, check][0] == "pass", f"{case}: {check}: {found[case, check]}"


@pytest.mark.long
def test_what_a_killed_up_leaves_is_dealt_with(virtual_machines: None, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    with made("e2e-cut", tmp_path / "small.yaml") as lab:
        disks = lab.state / "libvirt" / "lib" / "images"
        descriptions = lab.state / "libvirt" / "etc" / "qemu"
        with lab.start("up", "--until", "machines") as running:

            def begun() -> bool:
                assert running.process.poll() is None, f"up ended before a machine was made: {running.wait(1)}"
                return any(descriptions.glob("*.xml"))

            until(begun, bool, "a machine being made", 1500, interval=0.05)
            running.signal(signal.SIGKILL)
            running.wait(30)
        lab("up", "--until", "machines", seconds=900)
        assert {machine["state"] for machine in lab.status()["machines"]} == {"running"}

        shutil.rmtree(lab.state / ".vagrant")
        told = lab("up", "--until", "machines", seconds=300)
        assert "a machine that Vagrant does not know" in told.out + told.err
        assert lab("enter", "sh", "-c", f"cd {lab.state} && ls .vagrant/machines", seconds=60).out.split() == [
            "hand",
            "left",
            "right",
        ]

        lab("power", "off", "hand")
        name = lab.identity.machine("hand")
        with virt.connect(f"qemu+unix:///system?socket=/run/{lab.identity.namespace}/libvirt/libvirt-sock") as libvirt:
            libvirt.lookupByName(name).undefine()
        assert (disks / f"{name}.img").is_file(), "its disk is left behind"
        told = lab("up", "--until", "machines", seconds=900)
        assert "a disk without a machine" in told.out + told.err
        assert {machine["state"] for machine in lab.status()["machines"]} == {"running"}
