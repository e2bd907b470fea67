"""The table of steps: which scripts machines go through, in this order. A row more is a step more.

A row is all that there is to say of a step: files are rendered by it, the provisioner walks it, and a lab that is there
goes through a new one at its next ``up``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from lab.model.functions import EVERY_FUNCTION, Function, Functions
from lab.stage import Stage
from lab.topology import Node, Topology

LOAD_BALANCERS: Functions = frozenset({Function.LOAD_BALANCER})
CONTROL_PLANES: Functions = frozenset({Function.CONTROL_PLANE})


class Once(StrEnum):
    """For whom a step is run a single time. Whether it still must be is a question to the cluster, not to a record."""

    #: On the first of its machines, for all of them.
    CLUSTER = "cluster"
    #: On each of its machines.
    MACHINE = "machine"


@dataclass(frozen=True)
class Step:
    """One script of one component, on the machines that have one of these functions.

    The script is rendered from provision/COMPONENT/TEMPLATE (NAME.sh.j2 where none is named) to nodes/NODE/NAME.sh.
    ``files`` are the configuration files that it embeds: each is rendered from provision/COMPONENT/FILE.j2 to
    nodes/NODE/FILE as well, so that people can read it and the service's own program can judge it.

    ``stage`` is the first whose labs go through it. ``serial``: of the machines with this function one at a time goes
    through it, as soon as what they make up together is in use. ``after``: steps that must be done before, on whatever
    machine. ``ends`` is the first stage whose labs do not go through it any more; ``undoes`` the step that it takes
    back, where a machine has been through that one. ``unit`` is what it starts, or ends where it undoes something:
    where that is otherwise, the step is due again.
    """

    name: str
    component: str
    functions: Functions = EVERY_FUNCTION
    stage: Stage = Stage.LOADBALANCER
    once: Once | None = None
    serial: Function | None = None
    after: tuple[str, ...] = ()
    ends: Stage | None = None
    undoes: str = ""
    unit: str = ""
    files: tuple[str, ...] = ()
    template: str = ""

    @property
    def script(self) -> str:
        """The template's path below provision/."""
        return f"{self.component}/{self.template or self.name + '.sh.j2'}"

    @property
    def lasting(self) -> bool:
        """Does what it does stay, so that a lab of its stage has been through it, whatever its past?"""
        return self.once is None and self.ends is None and not self.undoes

    def belongs(self, stage: Stage) -> bool:
        """Do labs of this stage go through it?"""
        return self.stage.order <= stage.order and (self.ends is None or stage.order < self.ends.order)


STEPS: tuple[Step, ...] = (
    Step("node", "node"),
    Step(
        "haproxy",
        "haproxy",
        LOAD_BALANCERS,
        serial=Function.LOAD_BALANCER,
        unit="haproxy",
        files=("haproxy.cfg",),
    ),
    Step(
        "keepalived",
        "keepalived",
        LOAD_BALANCERS,
        serial=Function.LOAD_BALANCER,
        unit="keepalived",
        files=("keepalived.conf", "haproxy-alive", "haproxy-check"),
    ),
    # Stands in for the apiserver as long as there is none: only `up --until loadbalancer` runs it.
    Step(
        "answerer",
        "answerer",
        CONTROL_PLANES,
        after=("node", "keepalived"),
        ends=Stage.CONTROL_PLANE,
        unit="halab-answerer",
        files=("answerer.py",),
    ),
    Step(
        "answerer-remove",
        "answerer",
        CONTROL_PLANES,
        Stage.CONTROL_PLANE,
        undoes="answerer",
        unit="halab-answerer",
    ),
    Step("containerd", "containerd", stage=Stage.CONTROL_PLANE, files=("config.toml",)),
    Step("kubernetes", "kubernetes", stage=Stage.CONTROL_PLANE),
    Step(
        "init",
        "kubernetes",
        CONTROL_PLANES,
        Stage.CONTROL_PLANE,
        Once.CLUSTER,
        after=("keepalived",),
        files=("kubeadm-init.yaml",),
    ),
    # The first control plane joins like the others where it was made anew and the cluster outlived it.
    Step(
        "join",
        "kubernetes",
        stage=Stage.CONTROL_PLANE,
        once=Once.MACHINE,
        serial=Function.ETCD,
        after=("init",),
    ),
)


def lasting(topology: Topology, node: Node, stage: Stage, steps: Sequence[Step] = STEPS) -> tuple[Step, ...]:
    """The steps that a machine has been through, whatever its past, when its lab is at a stage."""
    return tuple(step for step in steps_of(topology, node, steps) if step.lasting and step.belongs(stage))


def machines_of(topology: Topology, step: Step) -> tuple[Node, ...]:
    """The nodes that go through a step."""
    found = tuple(node for node in topology.nodes if node.functions & step.functions)
    return found[:1] if step.once is Once.CLUSTER else found


def steps_of(topology: Topology, node: Node, steps: Sequence[Step] = STEPS) -> tuple[Step, ...]:
    """The steps that a node goes through, in order."""
    ways = (step for step in steps if node.functions & step.functions)
    return tuple(step for step in ways if step.once is not Once.CLUSTER or node == machines_of(topology, step)[0])
