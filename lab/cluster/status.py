"""The lab's status: one picture folded from what every machine said, and what is wrong with it.

Pure: the same observations give the same status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Network
from typing import Any

from lab.cluster.members import Standing, peer_url, standing, told
from lab.cluster.observation import Observation
from lab.interrupts import Open
from lab.kubernetes.leases import holder_host
from lab.model.functions import Function
from lab.providers.base import MachineState
from lab.stage import Stage
from lab.topology import Node, Topology

#: The leases that decide who schedules and who controls.
LEADERS = ("kube-scheduler", "kube-controller-manager")

#: What every member of the cluster runs.
NODE_UNITS = ("containerd", "kubelet")


@dataclass(frozen=True)
class LoadBalancer:
    """One master's haproxy and keepalived. ``backends`` maps each server to haproxy's word for it ("UP", "DOWN", …)."""

    haproxy: str
    keepalived: str
    backends: Mapping[str, str]


@dataclass(frozen=True)
class Member:
    """One member of etcd; ``name`` is empty for a member that was added and never started."""

    id: str
    name: str
    peer_urls: tuple[str, ...]
    leads: bool


@dataclass(frozen=True)
class KubernetesNode:
    """One node as the API shows it."""

    name: str
    ready: bool
    address: str
    version: str
    uid: str


@dataclass(frozen=True)
class Status:
    """The lab at one moment. ``problems`` is empty when all is well."""

    lab: str
    provider: str
    endpoint: str
    vip: str
    holders: tuple[str, ...]
    machines: tuple[Mapping[str, str], ...]
    loadbalancers: Mapping[str, LoadBalancer]
    nodes: tuple[KubernetesNode, ...]
    leases: Mapping[str, str]
    etcd: tuple[Member, ...]
    problems: tuple[str, ...] = field(default=())

    @property
    def healthy(self) -> bool:
        """Is nothing wrong?"""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """The same as plain data, with the verdict in words."""
        data = asdict(self)
        data["verdict"] = "healthy" if self.healthy else "degraded"
        return data


def fold(
    topology: Topology,
    provider: str,
    states: Mapping[str, MachineState],
    observations: Mapping[str, Observation],
    *,
    lab: str,
    stage: Stage = Stage.WORKERS,
    still_open: Sequence[Open] = (),
) -> Status:
    """Make one status of all observations; ``lab`` is the lab's name, which need not be its definition's.

    Only what a lab of that ``stage`` has can be wrong with it. What a command broke and has not healed is wrong whether
    it shows or not.
    """
    vip = str(topology.vip)
    holders = tuple(name for name, seen in observations.items() if vip in seen.get("addresses", ()))
    masters = _said(topology, Function.CONTROL_PLANE, observations)
    members_of_etcd = _said(topology, Function.ETCD, observations)
    balancers = {
        name: LoadBalancer(
            seen.get("units", {}).get("haproxy", "unknown"),
            seen.get("units", {}).get("keepalived", "unknown"),
            seen.get("backends", {}),
        )
        for name, seen in _said(topology, Function.LOAD_BALANCER, observations).items()
    }
    nodes = next(
        (tuple(KubernetesNode(**node) for node in seen["nodes"]) for seen in masters.values() if "nodes" in seen), ()
    )
    leases: Mapping[str, str] = next((seen["leases"] for seen in masters.values() if "leases" in seen), {})
    status = Status(
        lab=lab,
        provider=provider,
        endpoint=topology.endpoint,
        vip=vip,
        holders=holders,
        machines=tuple(
            {"name": node.name, "role": node.role, "address": str(node.address), "state": str(states[node.name])}
            for node in topology.nodes
        ),
        loadbalancers=balancers,
        nodes=nodes,
        leases={name: holder_host(holder) for name, holder in leases.items() if name in LEADERS},
        etcd=_members(members_of_etcd),
    )
    problems = [f"still open: {one}" for one in still_open]
    problems += _machine_problems(topology, states, observations)
    if stage is not Stage.MACHINES:
        problems += _balancer_problems(topology, status)
    if stage.has_kubernetes:
        members = topology.members(stage)
        problems += _unit_problems(members, observations)
        problems += _node_problems(topology, status, members, _strangers(members, observations))
        problems += _etcd_problems(topology, status, members_of_etcd)
    return Status(**{**status.__dict__, "problems": tuple(problems)})


def _said(topology: Topology, function: Function, observations: Mapping[str, Observation]) -> dict[str, Observation]:
    """What each machine of a function said; nothing of those that were not seen."""
    return {node.name: observations.get(node.name, {}) for node in topology.having(function)}


def _members(machines: Mapping[str, Observation]) -> tuple[Member, ...]:
    for seen in machines.values():
        if "etcd" in seen:
            leader = seen["etcd"]["leader"]
            return tuple(
                Member(member["id"], member["name"], tuple(member["peer_urls"]), member["id"] == leader)
                for member in seen["etcd"]["members"]
            )
    return ()


def _machine_problems(
    topology: Topology, states: Mapping[str, MachineState], observations: Mapping[str, Observation]
) -> list[str]:
    problems = []
    for node in topology.nodes:
        if states[node.name] is not MachineState.RUNNING:
            problems.append(f"machine {node.name} is {states[node.name]}")
        elif "unreachable" in observations.get(node.name, {}):
            problems.append(f"machine {node.name} runs but does not answer: {observations[node.name]['unreachable']}")
    return problems


def _balancer_problems(topology: Topology, status: Status) -> list[str]:
    problems = []
    if len(status.holders) != 1:
        held = "nobody" if not status.holders else " and ".join(status.holders)
        problems.append(f"virtual IP {status.vip} is held by {held}")
    for name, balancer in status.loadbalancers.items():
        problems += [
            f"{unit} on {name} is {state}"
            for unit, state in (("haproxy", balancer.haproxy), ("keepalived", balancer.keepalived))
            if state != "active"
        ]
        if balancer.haproxy == "active":
            backends = [node.name for node in topology.control_planes]
            down = [backend for backend in backends if balancer.backends.get(backend) != "UP"]
            if down:
                problems.append(f"haproxy on {name} gets no answer from the backend on {', '.join(down)}")
    return problems


def _unit_problems(members: Sequence[Node], observations: Mapping[str, Observation]) -> list[str]:
    """What the API learns only later: a node's own units."""
    return [
        f"{unit} on {node.name} is {state}"
        for node in members
        for unit, state in observations.get(node.name, {}).get("units", {}).items()
        if unit in NODE_UNITS and state != "active"
    ]


def _node_problems(
    topology: Topology, status: Status, members: Sequence[Node], strangers: Mapping[str, str]
) -> list[str]:
    if not status.nodes:
        return ["no apiserver answers"]
    seen = {node.name: node for node in status.nodes}
    problems = [
        strangers.get(node.name) or _node_problem(node, seen.get(node.name), topology.subnet) for node in members
    ]
    missing = [f"lease {name} has no holder" for name in LEADERS if not status.leases.get(name)]
    return [problem for problem in problems if problem] + missing


def _node_problem(node: Node, seen: KubernetesNode | None, subnet: IPv4Network) -> str:
    if seen is None:
        return f"{node.name} is no member of the cluster"
    if not seen.ready:
        return f"node {node.name} is not Ready"
    if seen.address != str(node.address):
        return (
            f"node {node.name} says its address is {seen.address}, not {node.address} in {subnet} (kubelet --node-ip)"
        )
    return ""


def _strangers(members: Sequence[Node], observations: Mapping[str, Observation]) -> dict[str, str]:
    """What is wrong with machines that call themselves members of the cluster and are not."""
    said = (told(observations.get(node.name, {})) for node in members)
    cluster = next((one for one in said if one is not None), None)
    if cluster is None:
        return {}
    found = {}
    for node in (node for node in members if node.name in observations):
        match standing(node, observations[node.name], cluster):
            case Standing.FOREIGN:
                found[node.name] = (
                    f"{node.name} joined another cluster than the control plane's: ./inv up joins it anew"
                )
            case Standing.RENEWED:
                found[node.name] = f"node {node.name} was deleted and made anew by its kubelet: ./inv up joins it anew"
    return found


def _etcd_problems(topology: Topology, status: Status, machines: Mapping[str, Observation]) -> list[str]:
    if not status.etcd:
        return ["etcd answers on no master"]
    problems = []
    names = {member.name for member in status.etcd}
    for node in topology.etcd_members:
        if node.name not in names:
            problems.append(f"{node.name} is no member of etcd")
        elif "etcd" not in machines[node.name]:
            problems.append(f"etcd on {node.name} does not answer")
    expected = {node.name: peer_url(node) for node in topology.etcd_members}
    for member in status.etcd:
        if not member.name:
            problems.append(f"etcd has a member that never started ({', '.join(member.peer_urls)})")
        elif expected.get(member.name) not in member.peer_urls:
            problems.append(
                f"etcd member {member.name} is reached at {', '.join(member.peer_urls)}, not in the lab's subnet"
            )
    if status.etcd and not any(member.leads for member in status.etcd):
        problems.append("etcd has no leader")
    return problems
