"""The table of steps: which script each kind of machine goes through, in this order. A row more is a step more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab.topology import Node

FIRST, OTHER, WORKER = "first master", "other master", "worker"
MASTERS = frozenset({FIRST, OTHER})
EVERYBODY = MASTERS | {WORKER}


@dataclass(frozen=True)
class Step:
    """One script of one component, on some kinds of machine.

    The script is rendered from provision/COMPONENT/TEMPLATE (NAME.sh.j2 where none is named) to nodes/NODE/NAME.sh.
    ``files`` are the configuration files that it embeds: each is rendered from provision/COMPONENT/FILE.j2 to
    nodes/NODE/FILE as well, so that people can read it and the service's own program can judge it.
    """

    name: str
    component: str
    kinds: frozenset[str] = EVERYBODY
    files: tuple[str, ...] = ()
    template: str = ""

    @property
    def script(self) -> str:
        """The template's path below provision/."""
        return f"{self.component}/{self.template or self.name + '.sh.j2'}"


STEPS: tuple[Step, ...] = (
    Step("node", "node"),
    Step("haproxy", "haproxy", MASTERS, ("haproxy.cfg",)),
    Step("keepalived", "keepalived", MASTERS, ("keepalived.conf", "haproxy-alive", "haproxy-check")),
    # Only `up --until loadbalancer` runs this one; the stage behind it begins with its removal.
    Step("answerer", "answerer", MASTERS, ("answerer.py",)),
    Step("answerer-remove", "answerer", MASTERS),
    Step("containerd", "containerd", files=("config.toml",)),
    Step("kubernetes", "kubernetes"),
    Step("init", "kubernetes", frozenset({FIRST}), ("kubeadm-init.yaml",)),
    # The first master joins like the others where it was made anew and the cluster outlived it.
    Step("join", "kubernetes"),
)


def kind(node: Node) -> str:
    """The kind of machine that a node is."""
    if not node.is_master:
        return WORKER
    return FIRST if node.is_first else OTHER


def steps_of(node: Node, steps: Sequence[Step] = STEPS) -> tuple[Step, ...]:
    """The steps that a node goes through, in order."""
    return tuple(step for step in steps if kind(node) in step.kinds)
