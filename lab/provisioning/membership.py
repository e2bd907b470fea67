"""A machine's way into a cluster and out of it: what runs on a control plane while another machine joins or leaves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path

from lab.cluster.members import peer_url
from lab.errors import LabError
from lab.machine import Machine
from lab.model.functions import Function
from lab.provisioning.step import STEP_SECONDS
from lab.topology import Node

KUBERNETES = Path(__file__).parents[2] / "provision" / "kubernetes"
MINT = KUBERNETES / "mint.sh"
FORGET = KUBERNETES / "forget.sh"
CLEAN = KUBERNETES / "clean.sh"
FINISH = KUBERNETES / "finish.sh"

#: Seconds: etcd may call itself unhealthy for some after each member that comes or goes.
FORGET_SECONDS = 120.0

#: What messages call the questions for etcd's quorum and for its members.
HEALTH, PEERS = "etcd health", "etcd members"

#: A member's own list of the members: it answers its peers before it takes requests, and without a quorum too.
ASK_PEERS = """
cd /etc/kubernetes/pki/etcd
curl --silent --show-error --fail --http1.1 --max-time 5 --cacert ca.crt --cert peer.crt --key peer.key "$1/members"
"""


def mint(member: Machine, address: IPv4Address, node: Node) -> dict[str, str]:
    """A fresh credential for ``node`` to join with, as environment variables, from a healthy control plane.

    ``address`` is that control plane's own.
    """
    args = [str(address), *([Function.CONTROL_PLANE] if node.has(Function.CONTROL_PLANE) else [])]
    result = member.run(MINT.read_text(), args, label="mint a join credential", secret=True).check()
    names = ["JOIN_TOKEN", "JOIN_CA_HASH", *(["JOIN_CERTIFICATE_KEY"] if node.has(Function.CONTROL_PLANE) else [])]
    values = result.stdout.split()
    if len(values) != len(names):
        raise LabError(f"{member.name} minted {len(values)} words instead of {', '.join(names)}", f"see {MINT}")
    return dict(zip(names, values, strict=True))


def forget(member: Machine, address: IPv4Address, nodes: Sequence[Node]) -> list[str]:
    """Have the cluster forget what it still knows of machines; returns what was forgotten, to be shown.

    ``member`` is a healthy control plane, ``address`` its own.
    """
    args = [str(address), *(f"{node.name}={node.address}" for node in nodes)]
    done = member.run(
        FORGET.read_text(), args, timeout=FORGET_SECONDS, label="forget " + ", ".join(n.name for n in nodes)
    )
    return done.check("./inv up tries again").stdout.splitlines()


def finish(machine: Machine) -> list[str]:
    """Wait for a kubeadm that an earlier run left going; returns what it said about that."""
    done = machine.run(FINISH.read_text(), timeout=STEP_SECONDS, label="let an earlier attempt come to its end")
    return done.check().stdout.splitlines()


def has_quorum(member: Machine) -> bool:
    """Does a member's etcd read through a majority of the members? (Its own /health; kubeadm has it on port 2381.)"""
    asked = member.run("curl --silent --fail --max-time 5 http://127.0.0.1:2381/health", timeout=15.0, label=HEALTH)
    return asked.ok and '"true"' in asked.stdout


def peers(member: Machine, node: Node) -> list[str] | None:
    """The peer URLs of all members as one master's etcd knows them, quorum or not; None when it is silent."""
    asked = member.run(ASK_PEERS, [peer_url(node)], timeout=15.0, label=PEERS)
    if not asked.ok:
        return None
    return [url for peer in json.loads(asked.stdout) for url in peer["peerURLs"]]


def leave(machine: Machine) -> None:
    """Take a machine out of whatever cluster it was in."""
    machine.run("set -euo pipefail\n" + CLEAN.read_text() + "\nclean\n", timeout=120.0, label="clean").check()
