"""Who waits for whom while machines become a cluster. Knows order only."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from lab.cluster.observation import Observation
from lab.command import Note
from lab.errors import LabError
from lab.machine import Machine
from lab.parallel import gather, workers
from lab.provisioning.membership import has_quorum, leave
from lab.provisioning.step import Script
from lab.provisioning.work import Work
from lab.stage import Stage
from lab.timeline import Timeline
from lab.topology import Node, Topology
from lab.waiting import WaitTimeout, wait_for

#: Seconds for the virtual IP to appear once keepalived runs on the masters.
VIP_SECONDS = 30.0

#: Seconds for an apiserver of an existing cluster to answer: a whole lab that was just switched on needs about 30.
API_SECONDS = 90.0


@dataclass(frozen=True)
class Provisioner:
    """Runs steps on machines. ``scripts`` maps (node, step) to the rendered step."""

    topology: Topology
    machines: Mapping[str, Machine]
    scripts: Mapping[tuple[str, str], Script]
    timeline: Timeline

    def run(self, stage: Stage, seen: Mapping[str, Observation]) -> list[str]:
        """Bring all machines to ``stage``; returns what was done, as "NODE STEP".

        ``seen`` tells which steps each machine has been through.
        Raises CommandError of the first step that failed, once the others that were under way have ended.
        """
        if stage is Stage.MACHINES:
            return []
        members = {name for name, observation in seen.items() if observation.get("joined")}
        work = Work(self.machines, self.scripts, self.timeline, seen, members)
        with workers(len(self.topology.nodes) * 2) as pool:
            balanced = {node.name: pool.submit(work.balance, node) for node in self.topology.masters}
            if stage is Stage.LOADBALANCER:
                named = [pool.submit(work.steps, node, ["node"]) for node in self.topology.workers]
                gather([*balanced.values(), *named])
                # Where an apiserver is, there is nothing to stand in for.
                free = [node for node in self.topology.masters if not work.joined(node)]
                gather([pool.submit(work.steps, node, ["answerer"]) for node in free])
            else:
                prepared = {
                    node.name: pool.submit(work.prepare, node, balanced.get(node.name)) for node in self.topology.nodes
                }
                self._cluster(stage, work, pool, balanced, prepared)
        return work.done

    def _cluster(
        self,
        stage: Stage,
        work: Work,
        pool: ThreadPoolExecutor,
        balanced: Mapping[str, Future[None]],
        prepared: Mapping[str, Future[None]],
    ) -> None:
        seed = self._seed(work, prepared)
        if seed is None:
            seed = self.topology.masters[0]
            gather([prepared[seed.name], *balanced.values()])
            self._await_vip(seed)
            work.steps(seed, ["init"])
        joins = []
        if stage is Stage.WORKERS:
            joins = [pool.submit(work.join, node, seed, prepared[node.name]) for node in self.topology.workers]
        for node in self.topology.masters:
            if node.name != seed.name:
                work.join(node, seed, prepared[node.name])
        gather([*joins, *prepared.values()])

    def _seed(self, work: Work, prepared: Mapping[str, Future[None]]) -> Node | None:
        """The member through which the others join, or None when there is no cluster yet (or no longer one)."""
        members = [node for node in self.topology.masters if work.joined(node)]
        if not members:
            return None
        try:
            with self.timeline.phase("control plane answers"):
                return wait_for(
                    "an apiserver on " + " or ".join(node.name for node in members),
                    lambda: next((node for node in members if self._answers(node)), None),
                    lambda node: node is not None,
                    seconds=API_SECONDS,
                    interval=1.0,
                )
        except WaitTimeout:
            half = [node.name for node in self.topology.masters if work.half_joined(node)]
            quorum = any(has_quorum(self.machines[node.name]) for node in members)
            if quorum or not half:
                though = "etcd has its quorum" if quorum else "they are members"
                raise LabError(
                    f"no apiserver answers on {', '.join(node.name for node in members)}, though {though}",
                    "./inv up waits again; ./inv status and ./inv logs help to find out why; "
                    "./inv destroy, then ./inv up, begins afresh",
                ) from None
            lost = f"etcd has lost its quorum: {', '.join(half)} was added and never started. Starting again from init"
            self.timeline.line(Note(lost))
            gather(list(prepared.values()))  # nothing else may be at work on a machine that is cleaned
            self._start_again(work)
            return None

    def _answers(self, node: Node) -> bool:
        probe = f"curl --silent --insecure --fail --max-time 2 --output /dev/null https://{node.address}:6443/readyz"
        return self.machines[node.name].run(probe, timeout=10.0).ok

    def _start_again(self, work: Work) -> None:
        """Take every machine out of the cluster that cannot be saved.

        Members first: as long as one is left, the others still show a later run why it must begin again.
        """
        members = [node for node in self.topology.nodes if work.joined(node)]
        others = [node for node in self.topology.nodes if not work.joined(node)]
        with self.timeline.phase("start again"), workers(len(self.topology.nodes)) as pool:
            for nodes in (members, others):
                gather([pool.submit(leave, self.machines[node.name]) for node in nodes])
        work.members.clear()

    def _await_vip(self, first: Node) -> None:
        """kubeadm speaks to its own endpoint at once: somebody must hold the virtual IP before init."""
        with self.timeline.phase("virtual IP"):
            wait_for(
                f"a holder of the virtual IP {self.topology.vip}",
                lambda: [
                    node.name
                    for node in self.topology.masters
                    if self.machines[node.name].run(f"ip -o addr show to {self.topology.vip}/32").check().stdout.strip()
                ],
                lambda holders: len(holders) == 1,
                seconds=VIP_SECONDS,
                hint=f"./inv ssh {first.name} journalctl -u keepalived -u haproxy",
            )
