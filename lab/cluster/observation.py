"""What each machine knows, asked of all machines at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import TypedDict

from lab.definition.driver import EMULATION
from lab.errors import LabError
from lab.machine import Machine
from lab.machines.programs import text
from lab.parallel import workers
from lab.plan.steps import STEPS
from lab.topology import Node, Topology
from lab.waiting import WaitTimeout, wait_for

#: Seconds that one machine is given to answer: the observer's own limits are two seconds a question.
ASK_SECONDS = 15.0

#: The same for an emulated machine: with all of the host's processors busy starting Python alone took it 16 and more.
EMULATED_ASK_SECONDS = 60.0

#: Seconds in which machines that answer ssh tell what they know: on a busy host one look may take too long.
TELL_SECONDS = 60.0

#: The units that steps start, of which a step is due again where they do not run.
UNITS = sorted({step.unit for step in STEPS if step.unit})


class SeenNode(TypedDict):
    """A Node as the API has it; ``ready`` is false as well where its kubelet has gone quiet."""

    name: str
    ready: bool
    address: str
    version: str
    uid: str


class SeenMember(TypedDict):
    """A member of etcd, with its ``id`` in decimal; one that never started has no name."""

    id: str
    name: str
    peer_urls: list[str]


class SeenEtcd(TypedDict):
    """etcd as one member sees it: the ``id`` s of itself and of the member that leads, "" for none."""

    id: str
    leader: str
    members: list[SeenMember]


class Observation(TypedDict, total=False):
    """What one machine knows (provision/probe/observer.py prints it), each part only where it could be found out.

    A machine that could not be asked has ``unreachable`` and nothing else.
    """

    #: Why it could not be asked.
    unreachable: str
    hostname: str
    #: Has kubeadm made it a member, is there a member's data of etcd, has kubeadm begun here at all?
    joined: bool
    etcd_data: bool
    kubeadm_traces: bool
    #: The digest of each step that it has been through, by the step's name.
    steps: dict[str, str]
    #: systemd's word for each unit: active, inactive, failed, …
    units: dict[str, str]
    #: Every IPv4 address that it has, the virtual IP among them where it holds it.
    addresses: list[str]
    #: The UID of the Node that it became when it joined; "" where none was written down.
    node_uid: str
    #: The digest of its cluster's CA; "" without one.
    authority: str
    #: (load balancers) haproxy's word for each of its servers: UP, DOWN, …
    backends: dict[str, str]
    #: (members of the control plane) the cluster's Nodes, and who holds each lease of kube-system, "" for nobody.
    nodes: list[SeenNode]
    leases: dict[str, str]
    #: (members of etcd)
    etcd: SeenEtcd
    #: What could not be found out, by the part's name, and why.
    errors: dict[str, str]


def ask(machine: Machine, node: Node, vip: str, seconds: float = ASK_SECONDS) -> Observation:
    """Ask one machine; never raises, because a machine that does not answer is an observation too."""
    script = f"python3 - \"$@\" <<'OBSERVER'\n{text('observer')}\nOBSERVER\n"
    try:
        args = [vip, " ".join(sorted(node.functions)), str(node.address), *UNITS]
        result = machine.run(script, args, timeout=seconds, label="observe").check()
        observation: Observation = json.loads(result.stdout)
    except (LabError, ValueError) as error:
        return {"unreachable": str(error)}
    return observation


def observe(topology: Topology, machines: Mapping[str, Machine]) -> dict[str, Observation]:
    """Ask all the given machines side by side; returns the observations by the machine's name."""
    asked = [topology.node(name) for name in machines]
    vip, seconds = str(topology.vip), EMULATED_ASK_SECONDS if topology.driver == EMULATION else ASK_SECONDS
    with workers(len(asked)) as pool:
        seen = pool.map(lambda node: ask(machines[node.name], node, vip, seconds), asked)
    return {node.name: observation for node, observation in zip(asked, seen, strict=True)}


def silent(seen: Mapping[str, Observation]) -> dict[str, str]:
    """The machines that did not answer, each with the reason. Pure."""
    return {name: one["unreachable"] for name, one in seen.items() if "unreachable" in one}


def insist(
    topology: Topology, machines: Mapping[str, Machine], seen: Mapping[str, Observation]
) -> dict[str, Observation]:
    """Ask the machines that were silent when they were ``seen`` again, until each has answered.

    Returns what was seen last, some of it silence, when TELL_SECONDS have passed.
    """
    found = dict(seen)

    def look() -> dict[str, str]:
        found.update(observe(topology, {name: machines[name] for name in silent(found)}))
        return silent(found)

    if silent(found):
        with suppress(WaitTimeout):
            wait_for("the machines to tell what they know", look, lambda left: not left, seconds=TELL_SECONDS)
    return found
