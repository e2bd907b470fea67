"""A machine's way into a cluster and out of it: what runs on a control plane while another machine joins or leaves."""

from __future__ import annotations

from pathlib import Path

from lab.errors import LabError
from lab.machine import Machine
from lab.provisioning.step import STEP_SECONDS
from lab.topology import Node

KUBERNETES = Path(__file__).parents[2] / "provision" / "kubernetes"
MINT = KUBERNETES / "mint.sh"
FORGET = KUBERNETES / "forget-member.sh"
CLEAN = KUBERNETES / "clean.sh"
FINISH = KUBERNETES / "finish.sh"

#: What a message calls the question for etcd's quorum.
HEALTH = "etcd health"


def mint(machine: Machine, node: Node) -> dict[str, str]:
    """A fresh credential for ``node`` to join with, as environment variables, from a healthy control plane."""
    result = machine.run(MINT.read_text(), [node.role], label="mint a join credential", secret=True).check()
    names = ["JOIN_TOKEN", "JOIN_CA_HASH", *(["JOIN_CERTIFICATE_KEY"] if node.is_master else [])]
    values = result.stdout.split()
    if len(values) != len(names):
        raise LabError(f"{machine.name} minted {len(values)} words instead of {', '.join(names)}", f"see {MINT}")
    return dict(zip(names, values, strict=True))


def forget(member: Machine, node: Node) -> str:
    """Have etcd forget what an earlier life of ``node`` left in it; returns what was forgotten, to be shown."""
    script = FORGET.read_text()
    done = member.run(script, [f"https://{node.address}:2380"], label="forget a stale etcd member")
    return done.check().stdout


def finish(machine: Machine) -> list[str]:
    """Wait for a kubeadm that an earlier run left going; returns its lines, "joined" among them if it got that far."""
    done = machine.run(FINISH.read_text(), timeout=STEP_SECONDS, label="let an earlier attempt come to its end")
    return done.check().stdout.splitlines()


def has_quorum(member: Machine) -> bool:
    """Does a member's etcd read through a majority of the members? (Its own /health; kubeadm has it on port 2381.)"""
    asked = member.run("curl --silent --fail --max-time 5 http://127.0.0.1:2381/health", timeout=15.0, label=HEALTH)
    return asked.ok and '"true"' in asked.stdout


def leave(machine: Machine) -> None:
    """Take a machine out of whatever cluster it was in."""
    machine.run("set -euo pipefail\n" + CLEAN.read_text() + "\nclean\n", timeout=120.0, label="clean").check()
