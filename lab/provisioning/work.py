"""The steps of one run, machine by machine: which are still to be run, and which another run has done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, field

from lab.cluster.observation import Observation
from lab.machine import Machine
from lab.provisioning import membership
from lab.provisioning.step import Script, run_step
from lab.timeline import Timeline
from lab.topology import Node


@dataclass(frozen=True)
class Work:
    """What each machine still has to do in one run, and what was done so far.

    ``seen`` is what was observed of each machine before the run, ``members`` who was in the cluster then; ``done`` is
    filled with "NODE STEP".
    """

    machines: Mapping[str, Machine]
    scripts: Mapping[tuple[str, str], Script]
    timeline: Timeline
    seen: Mapping[str, Observation]
    members: set[str]
    done: list[str] = field(default_factory=list)

    def joined(self, node: Node) -> bool:
        """Was the machine a member of the cluster when the run began (and is the cluster still that one)?"""
        return node.name in self.members

    def half_joined(self, node: Node) -> bool:
        """Did an earlier run begin to make it a member, and not come to the end?"""
        return bool(self.seen.get(node.name, {}).get("kubeadm_traces")) and not self.joined(node)

    def balance(self, node: Node) -> None:
        """Name, network and the master's share of the load balancer."""
        self.steps(node, ["node", "haproxy", "keepalived"])

    def prepare(self, node: Node, before: Future[None] | None) -> None:
        """All that a machine needs before kubeadm."""
        if before is None:
            self.steps(node, ["node"])
        else:
            before.result()
        seen = self.seen.get(node.name, {})
        if "answerer" in seen.get("steps", {}) or seen.get("units", {}).get("halab-answerer", "inactive") != "inactive":
            # An earlier ``up --until loadbalancer`` put it where the apiserver shall be, and may have been killed
            # before it wrote that down.
            run_step(self.machines[node.name], self.scripts[node.name, "answerer-remove"], self.timeline)
            self.machines[node.name].run(
                "rm -f /var/lib/halab/steps/answerer /var/lib/halab/steps/answerer-remove"
            ).check()
        self.steps(node, ["containerd", "kubernetes"])

    def join(self, node: Node, seed: Node, before: Future[None]) -> None:
        """Join one machine with a credential minted for it alone."""
        before.result()
        if self.joined(node) or self._finished(node):
            return
        member = self.machines[seed.name]
        with self.timeline.phase("credential", node.name):
            if node.is_master:
                self.timeline.line(membership.forget(member, node), node.name)
            credential = membership.mint(member, node)
        self.steps(node, ["join"], credential)

    def _finished(self, node: Node) -> bool:
        """Has an attempt that an earlier run left going made the machine a member after all? Waits for its end.

        Without this etcd would be told to forget a member that is just about to start.
        """
        units = self.seen.get(node.name, {}).get("units", {})
        going = units.get("halab-kubeadm") == "activating"
        with self.timeline.phase("earlier attempt", node.name) if going else nullcontext():
            lines = membership.finish(self.machines[node.name])
        for line in lines:
            self.timeline.line(line, node.name)
        if "joined" not in lines:
            return False
        self.done.append(f"{node.name} join")
        return True

    def steps(self, node: Node, names: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Run the steps that the machine has not been through with this very text."""
        recorded = self.seen.get(node.name, {}).get("steps", {})
        for name in names:
            script = self.scripts[node.name, name]
            once = name in ("init", "join")
            if once and self.joined(node):
                continue
            if not once and recorded.get(name) == script.digest:
                continue
            run_step(self.machines[node.name], script, self.timeline, env)
            self.done.append(f"{node.name} {name}")
