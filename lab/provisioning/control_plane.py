"""The control plane that there is already: the master that answers, or what is left of those that never will."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.cluster.members import Standing, standing, told
from lab.cluster.observation import Observation, observe, silent
from lab.cluster.quorum import Quorum, at_worst, outlook, survivors
from lab.command import CommandTimeout
from lab.errors import LabError
from lab.machine import Machine
from lab.provisioning.admission import refuse_silent
from lab.provisioning.membership import has_quorum, peers
from lab.timeline import Timeline
from lab.topology import Node, Topology
from lab.waiting import WaitTimeout, wait_for

#: Seconds for an apiserver of an existing cluster to answer: a whole lab that was just switched on needs about 30.
API_SECONDS = 90.0


@dataclass(frozen=True)
class ControlPlane:
    """``seen`` is what was observed of each machine before the run.

    ``founded``: the cluster was once whole, so that a join that was killed half-way cannot have cost it its quorum.
    """

    topology: Topology
    machines: Mapping[str, Machine]
    timeline: Timeline
    seen: Mapping[str, Observation]
    founded: bool

    def await_answer(self) -> Node | Quorum:
        """A master whose apiserver answers, or the quorum that is gone: as soon as it is sure that it never comes back.

        Raises LabError when neither is known after API_SECONDS.
        """
        members = [node for node in self.topology.control_planes if self.seen[node.name].get("joined")]
        try:
            with self.timeline.phase("control plane answers"):
                found = wait_for(
                    "an apiserver on " + " or ".join(node.name for node in members),
                    lambda: self._answering(members) or self._lost(),
                    lambda found: found is not None,
                    seconds=API_SECONDS,
                    interval=1.0,
                )
                assert found is not None
                return found
        except WaitTimeout:
            return self._given_up(members)

    def _answering(self, members: Sequence[Node]) -> Node | None:
        """One that is a whole member, if it can be: a master without its Node must join again through another one."""
        whole = [node for node in members if self._whole(node)]
        rest = [node for node in members if node not in whole]
        return next((node for node in (*whole, *rest) if self._answers(node)), None)

    def _whole(self, node: Node) -> bool:
        seen = self.seen[node.name]
        cluster = told(seen)
        return cluster is not None and standing(node, seen, cluster) is Standing.MEMBER

    def _answers(self, node: Node) -> bool:
        probe = f"curl --silent --insecure --fail --max-time 2 --output /dev/null https://{node.address}:6443/readyz"
        try:
            return self.machines[node.name].run(probe, timeout=10.0).ok
        except CommandTimeout:
            return False  # a busy machine: another one may answer, or this one the next time

    def _lost(self) -> Quorum | None:
        """The quorum, where every survivor says that it is gone, and no machine is about to join."""
        try:
            if self._outlook(self.seen) is None:
                return None
            seen = self._look()
            return None if _joining(seen) or silent(seen) else self._outlook(seen)
        except CommandTimeout:
            return None  # that a busy machine says nothing tells nothing

    def _outlook(self, seen: Mapping[str, Observation]) -> Quorum | None:
        remaining = survivors(self.topology.etcd_members, seen)
        if any(has_quorum(self.machines[node.name]) for node in remaining):
            return None
        quorum = outlook(self.topology.etcd_members, seen, self._peers(remaining))
        return quorum if quorum is not None and quorum.gone else None

    def _peers(self, remaining: Sequence[Node]) -> dict[str, list[str]]:
        """The peer URLs of all members as each of those knows them whose etcd tells."""
        known = {node.name: peers(self.machines[node.name], node) for node in remaining}
        return {name: urls for name, urls in known.items() if urls is not None}

    def _look(self) -> Mapping[str, Observation]:
        return observe(self.topology, {node.name: self.machines[node.name] for node in self.topology.etcd_members})

    def _given_up(self, members: Sequence[Node]) -> Quorum:
        """After all that waiting etcd's own silence counts too. Raises LabError where the cluster may yet come back."""
        seen = self._look()
        refuse_silent(self.topology.etcd_members, seen)
        quorum = at_worst(self.topology.etcd_members, seen, self._peers(survivors(self.topology.etcd_members, seen)))
        healthy = any(has_quorum(self.machines[node.name]) for node in members)
        half = any(one.get("kubeadm_traces") and not one.get("joined") for one in seen.values())
        joining = _joining(seen)
        if not healthy and not joining and (quorum.gone or (half and not self.founded)):
            return quorum
        though = "etcd has its quorum" if healthy else f"{joining} is still joining" if joining else "they are members"
        raise LabError(
            f"no apiserver answers on {', '.join(node.name for node in members)}, though {though}",
            "./inv up waits again; ./inv status and ./inv logs help to find out why; "
            "./inv destroy, then ./inv up, begins afresh",
        )


def _joining(seen: Mapping[str, Observation]) -> str:
    """The first machine that an earlier run left on its way into the cluster, "" for none."""
    going = (name for name, one in seen.items() if one.get("units", {}).get("halab-kubeadm") == "activating")
    return next(going, "")
