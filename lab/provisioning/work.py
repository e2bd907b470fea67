"""The steps of one run, machine by machine: which are still to be run, and which another run has done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

from lab.cluster.observation import Observation
from lab.machine import Machine
from lab.plan.steps import Step
from lab.provisioning import membership
from lab.provisioning.step import Script, run_step
from lab.timeline import Timeline
from lab.topology import Node

#: Takes the records of two steps off a machine: of one that was undone, and of the one that undid it.
FORGET = 'rm -f "/var/lib/halab/steps/$1" "/var/lib/halab/steps/$2"'


@dataclass(eq=False)
class Work:
    """What each machine still has to do in one run, and what was done so far: it changes as the run goes on.

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

    def join(self, node: Node, seed: Node, steps: Sequence[Step]) -> None:
        """Join one machine by these steps, with a credential minted for it alone, through ``seed``."""
        with self.timeline.phase("credential", node.name):
            credential = membership.mint(self.machines[seed.name], seed.address, node)
        self.run(node, [step for step in steps if node.functions & step.functions], credential)

    def due(self, node: Node, step: Step) -> bool:
        """Has the machine not been through a step with this very text, or does what the step starts not run?

        A run that was killed may have stopped it for a step that it did not come to, or have been killed before it
        wrote down what it did: the record does not tell that. What is to be undone is so where there is a trace of it.
        """
        if step.once is not None:
            return True  # a question to the cluster, which was asked
        seen = self.seen[node.name]
        records, units = seen.get("steps", {}), seen.get("units", {})
        if step.undoes:
            return bool(step.undoes in records or units.get(step.unit, "inactive") != "inactive")
        stopped = bool(step.unit) and units.get(step.unit, "active") != "active"
        return stopped or bool(records.get(step.name) != self.scripts[node.name, step.name].digest)

    def run(self, node: Node, steps: Sequence[Step], env: Mapping[str, str] | None = None) -> None:
        """Run the steps that are due."""
        for step in steps:
            if not self.due(node, step):
                continue
            run_step(self.machines[node.name], self.scripts[node.name, step.name], self.timeline, env)
            if step.undoes:
                self.machines[node.name].run(FORGET, [step.undoes, step.name]).check()
            else:
                self.note(node, [step])

    def note(self, node: Node, steps: Sequence[Step]) -> None:
        """A machine has been through these steps."""
        self.done.extend(f"{node.name} {step.name}" for step in steps)
