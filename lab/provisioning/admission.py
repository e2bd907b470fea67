"""Machines become members of a cluster that is there: those that were lost, removed or never in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lab.cluster.members import Cluster, Standing, lost, standing, told
from lab.cluster.observation import TELL_SECONDS, Observation, insist, observe
from lab.command import Note
from lab.errors import LabError
from lab.parallel import gather
from lab.plan.steps import Step
from lab.provisioning.work import Work
from lab.topology import Node, Topology
from lab.waiting import wait_for

#: Why a machine that has joined once must join again.
AGAIN = {
    Standing.OUTSIDE: "has lost its etcd's data",
    Standing.FOREIGN: "belongs to a cluster that is no more",
    Standing.REMOVED: "was removed from the cluster after it had joined",
    Standing.RENEWED: "has a Node that is not the one as which it joined",
}


@dataclass(frozen=True)
class Admission:
    """``seed`` is the member through which the others join, ``steps`` what each goes through for that."""

    topology: Topology
    work: Work
    seed: Node
    steps: Sequence[Step]

    def outsiders(self, nodes: Sequence[Node]) -> list[Node]:
        """Those of ``nodes`` that were no members of the seed's cluster before the run."""
        seen = self.work.seen
        cluster = told(seen[self.seed.name]) or self._look([])[0]
        return [node for node in nodes if standing(node, seen[node.name], cluster) is not Standing.MEMBER]

    def admit(self, nodes: Sequence[Node], pool: ThreadPoolExecutor) -> None:
        """Make members of all of them. What is lost is forgotten before anything joins.

        A member of etcd that never answers counts against the quorum, and one that joins counts before it answers.
        """
        gather([pool.submit(self.work.finish, node) for node in nodes])
        cluster, seen = self._look(nodes)
        stands = {node.name: standing(node, seen[node.name], cluster) for node in nodes}
        joining = [node for node in nodes if stands[node.name] is not Standing.MEMBER]
        for node in nodes:
            if node not in joining:
                self.work.note(node, self.steps)
        serial = {step.serial for step in self.steps} - {None}
        gone = [node for node in joining if lost(node, seen[node.name], cluster)]
        known = [node for node in joining if cluster.knows(node) and node not in gone]
        if named := ", ".join(node.name for node in gone if not seen[node.name].get("joined")):
            self.work.timeline.line(
                Note(f"nothing of the cluster is left on {named}: it is forgotten, then joins anew")
            )
        if gone:
            self.work.forget(gone, self.seed)

        def one(node: Node) -> None:
            if node in known:
                self.work.forget([node], self.seed)
            if seen[node.name].get("joined"):
                self.work.timeline.line(Note(f"{node.name} {AGAIN[stands[node.name]]}: it joins again"))
                self.work.leave(node)
            self.work.join(node, self.seed, self.steps)

        def in_turn() -> None:
            # One after another, and those whose etcd may still run last: until then it counts for the quorum.
            for node in sorted(joining, key=known.__contains__):
                if node.functions & serial:
                    one(node)

        joins = [pool.submit(one, node) for node in joining if not node.functions & serial]
        gather([pool.submit(in_turn), *joins])

    def _look(self, nodes: Sequence[Node]) -> tuple[Cluster, Mapping[str, Observation]]:
        """The cluster as the seed tells it at this moment, and what is seen of ``nodes``."""
        asked = {node.name: self.work.machines[node.name] for node in (self.seed, *nodes)}
        seen: Mapping[str, Observation] = {}

        def look() -> Cluster | str:
            nonlocal seen
            seen = observe(self.topology, asked)
            return told(seen[self.seed.name]) or str(seen[self.seed.name].get("errors", seen[self.seed.name]))

        cluster = wait_for(
            f"{self.seed.name} to tell who belongs to its cluster",
            look,
            lambda found: isinstance(found, Cluster),
            seconds=TELL_SECONDS,
            hint="./inv up tries again; ./inv status shows what is wrong",
        )
        assert isinstance(cluster, Cluster)
        seen = insist(self.topology, asked, seen)
        refuse_silent(nodes, seen)
        return cluster, seen


def refuse_silent(nodes: Sequence[Node], seen: Mapping[str, Observation]) -> None:
    """Raise LabError for machines that did not answer: none of them may be taken for one that has nothing."""
    silent = {node.name: seen.get(node.name, {"unreachable": "it does not run"}).get("unreachable") for node in nodes}
    if whys := [f"{name}: {why}" for name, why in silent.items() if why]:
        raise LabError(
            "what a machine has, and has not, is not known as long as it does not answer\n" + "\n".join(whys),
            "./inv up goes on once it does; ./inv status shows it",
        )
