"""The steps of one run, machine by machine: which are still to be run, and which another run has done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, field

from lab.cluster.observation import Observation
from lab.machine import Machine
from lab.model.functions import Function
from lab.provisioning import membership
from lab.provisioning.step import Script, run_step
from lab.stage import Stage
from lab.timeline import Timeline
from lab.topology import Node

#: Steps that make a machine a member: whether they are due is a question to the cluster, not to the record of steps.
ONCE = frozenset({"init", "join"})

#: What every machine, every master and every machine of a cluster goes through, in this order. A master's are called
#: like the units that they start.
NAMED, BALANCED, PREPARED = ("node",), ("haproxy", "keepalived"), ("containerd", "kubernetes")


def been_through(node: Node, stage: Stage) -> tuple[str, ...]:
    """The steps that a machine has been through, whatever its past, when its lab is at a stage."""
    if stage is Stage.MACHINES:
        return ()
    return (
        *NAMED,
        *(BALANCED if node.has(Function.LOAD_BALANCER) else ()),
        *(PREPARED if stage.has_kubernetes else ()),
    )


@dataclass(frozen=True)
class Work:
    """What each machine still has to do in one run, and what was done so far.

    ``seen`` is what was observed of each machine before the run; ``done`` is filled with "NODE STEP".
    """

    machines: Mapping[str, Machine]
    scripts: Mapping[tuple[str, str], Script]
    timeline: Timeline
    seen: Mapping[str, Observation]
    done: list[str] = field(default_factory=list)

    def marked(self, node: Node) -> bool:
        """Did the machine once become a member of a cluster? Of which one, and whether it still is, is not said."""
        return bool(self.seen[node.name].get("joined"))

    def half_joined(self, node: Node) -> bool:
        """Did an earlier run begin to make it a member, and not come to the end?"""
        return bool(self.seen[node.name].get("kubeadm_traces")) and not self.marked(node)

    def balance(self, node: Node) -> None:
        """Name, network and the master's share of the load balancer."""
        self.steps(node, [*NAMED, *BALANCED])

    def prepare(self, node: Node, before: Future[None] | None) -> None:
        """All that a machine needs before kubeadm."""
        if before is None:
            self.steps(node, NAMED)
        else:
            before.result()
        seen = self.seen[node.name]
        if "answerer" in seen.get("steps", {}) or seen.get("units", {}).get("halab-answerer", "inactive") != "inactive":
            # An earlier ``up --until loadbalancer`` put it where the apiserver shall be, and may have been killed
            # before it wrote that down.
            run_step(self.machines[node.name], self.scripts[node.name, "answerer-remove"], self.timeline)
            self.machines[node.name].run(
                "rm -f /var/lib/halab/steps/answerer /var/lib/halab/steps/answerer-remove"
            ).check()
        self.steps(node, PREPARED)

    def finish(self, node: Node) -> None:
        """Let an attempt to join, which an earlier run left going, come to its end.

        Without this the cluster would be told to forget a machine that is just about to become a member.
        """
        going = self.seen[node.name].get("units", {}).get("halab-kubeadm") == "activating"
        with self.timeline.phase("earlier attempt", node.name) if going else nullcontext():
            lines = membership.finish(self.machines[node.name])
        for line in lines:
            self.timeline.line(line, node.name)

    def forget(self, nodes: Sequence[Node], seed: Node) -> None:
        """Have the cluster forget what it knows of machines, through ``seed``."""
        with self.timeline.phase("forget", seed.name):
            for line in membership.forget(self.machines[seed.name], seed.address, nodes):
                self.timeline.line(line, seed.name)

    def leave(self, node: Node) -> None:
        """Take off a machine what it has of a cluster."""
        with self.timeline.phase("leave", node.name):
            membership.leave(self.machines[node.name])

    def join(self, node: Node, seed: Node) -> None:
        """Join one machine with a credential minted for it alone, through ``seed``."""
        with self.timeline.phase("credential", node.name):
            credential = membership.mint(self.machines[seed.name], seed.address, node)
        self.steps(node, ["join"], credential)

    def due(self, node: Node, name: str) -> bool:
        """Has the machine not been through a step with this very text, or does what the step starts not run?

        A run that was killed may have stopped it for a step that it did not come to: the record does not tell that.
        """
        seen = self.seen[node.name]
        stopped = name in BALANCED and seen.get("units", {}).get(name, "active") != "active"
        return bool(stopped or seen.get("steps", {}).get(name) != self.scripts[node.name, name].digest)

    def steps(self, node: Node, names: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Run the steps that are due."""
        for name in names:
            if name not in ONCE and not self.due(node, name):
                continue
            run_step(self.machines[node.name], self.scripts[node.name, name], self.timeline, env)
            self.done.append(f"{node.name} {name}")
