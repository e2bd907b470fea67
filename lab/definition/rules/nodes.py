"""Rules about the machines: their names, roles, numbers and sizes."""

from __future__ import annotations

from collections.abc import Iterator

from lab.definition.defaults import MOST_MASTERS
from lab.definition.models import Definition
from lab.definition.problem import Problem, Severity
from lab.model.functions import Function

#: Beyond this many members etcd's own documentation advises against more: each write waits for a majority.
MOST_ETCD_MEMBERS = 7

#: MiB that kubeadm's preflight check wants of a control plane.
CONTROL_PLANE_MEMORY = 1700

RESERVED_NAMES = frozenset({"localhost", "vip"})


def roles(definition: Definition) -> Iterator[Problem]:
    """A control plane that can lose a member, and a worker to run pods and to look on."""
    masters = sum(Function.CONTROL_PLANE in node.functions for node in definition.nodes)
    workers = sum(Function.WORKER in node.functions for node in definition.nodes)
    if masters == 0:
        yield Problem("nodes", "there is no master", "at least one node with role: master, three for high availability")
    elif masters == 1:
        yield Problem(
            "nodes",
            "one master only: nothing takes over when it or its haproxy fails",
            "three masters for high availability",
            Severity.WARNING,
        )
    elif masters % 2 == 0:
        yield Problem(
            "nodes",
            f"an even number of masters: {masters} survive the loss of {(masters - 1) // 2}, as {masters - 1} do",
            f"{masters + 1} masters",
            Severity.WARNING,
        )
    if masters > MOST_MASTERS:
        yield Problem("nodes", f"{masters} masters, but VRRP ranks {MOST_MASTERS} at most", "three, five or seven")
    elif masters > MOST_ETCD_MEMBERS:
        yield Problem(
            "nodes",
            f"{masters} masters: each etcd write waits for {masters // 2 + 1} of them",
            "three, five or seven",
            Severity.WARNING,
        )
    if workers == 0:
        yield Problem(
            "nodes",
            "there is no worker: verify has no client outside the control plane, and pods nowhere to run",
            "at least one node with role: worker",
            Severity.WARNING,
        )


def names(definition: Definition) -> Iterator[Problem]:
    """No two nodes of one name, and none that means something else."""
    first: dict[str, int] = {}
    for index, node in enumerate(definition.nodes):
        path = f"nodes[{index}].name"
        if node.name in RESERVED_NAMES:
            yield Problem(path, f'"{node.name}" means something else in every machine', "a name such as master1")
        if node.name in first:
            other = f"nodes[{first[node.name]}].name"
            yield Problem(
                path, f'"{node.name}" is already the name of {other[:-5]}', "a name of its own", also=(other,)
            )
        first.setdefault(node.name, index)


def sizes(definition: Definition) -> Iterator[Problem]:
    """Enough memory for a control plane, where the lab gives memory out."""
    if definition.provider != "libvirt":
        return
    for index, node in enumerate(definition.nodes):
        memory = node.memory if node.memory is not None else definition.machine.memory
        if Function.CONTROL_PLANE in node.functions and memory < CONTROL_PLANE_MEMORY:
            path = f"nodes[{index}].memory" if node.memory is not None else "machine.memory"
            yield Problem(
                path,
                f"{memory} MiB for {node.name}: enough for the load balancer, not for a control plane",
                f"{CONTROL_PLANE_MEMORY} or more",
                Severity.WARNING,
                also=(f"nodes[{index}]",),
            )


RULES = (roles, names, sizes)
