"""Who waits for whom while machines become a cluster. Knows order only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from lab.cluster.observation import Observation, insist
from lab.cluster.quorum import Quorum
from lab.command import Note
from lab.errors import LabError, UsageError
from lab.machine import Machine
from lab.model.functions import Function
from lab.parallel import gather, workers
from lab.provisioning.admission import Admission, refuse_silent
from lab.provisioning.balancing import Balancing, Watch, unwatched
from lab.provisioning.control_plane import ControlPlane
from lab.provisioning.membership import leave
from lab.provisioning.step import Script
from lab.provisioning.work import NAMED, Work
from lab.stage import Stage
from lab.timeline import Timeline
from lab.topology import Node, Topology
from lab.waiting import wait_for

#: Seconds for the virtual IP to appear once keepalived runs on the masters.
VIP_SECONDS = 30.0


@dataclass(frozen=True)
class Provisioner:
    """Runs steps on machines. ``scripts`` maps (node, step) to the rendered step.

    ``founded``: the cluster was once whole, and somebody may have put something into it. Without its quorum it is then
    begun again only on demand: ``give_up`` is that demand, called right before the cluster is taken apart. ``watch``
    watches the VIP while a load balancer that is in use changes.
    """

    topology: Topology
    machines: Mapping[str, Machine]
    scripts: Mapping[tuple[str, str], Script]
    timeline: Timeline
    founded: bool = False
    give_up: Callable[[], None] | None = None
    watch: Watch = unwatched

    def run(self, stage: Stage, seen: Mapping[str, Observation]) -> list[str]:
        """Bring all machines to ``stage``; returns what was done, as "NODE STEP".

        ``seen`` tells what each machine has been through. Raises LabError when one of them did not answer, CommandError
        of the first step that failed, once the others that were under way have ended.
        """
        if stage is Stage.MACHINES:
            return []
        seen = insist(self.topology, self.machines, seen)
        refuse_silent(self.topology.nodes, seen)
        if stage.has_kubernetes and self.founded and self.give_up is not None:
            self._refuse_to_give_up(seen)
        work = Work(self.machines, self.scripts, self.timeline, seen)
        with workers(len(self.topology.nodes) * 2) as pool:
            balanced = self._balance(work, pool)
            if stage is Stage.LOADBALANCER:
                named = [
                    pool.submit(work.steps, node, NAMED)
                    for node in self.topology.nodes
                    if not node.has(Function.LOAD_BALANCER)
                ]
                gather([*balanced.values(), *named])
                # Where an apiserver is, there is nothing to stand in for.
                free = [node for node in self.topology.control_planes if not work.marked(node)]
                gather([pool.submit(work.steps, node, ["answerer"]) for node in free])
            else:
                prepared = {
                    node.name: pool.submit(work.prepare, node, balanced.get(node.name)) for node in self.topology.nodes
                }
                self._cluster(stage, work, pool, balanced, prepared)
        return work.done

    def _balance(self, work: Work, pool: ThreadPoolExecutor) -> dict[str, Future[None]]:
        """Every master's load balancer: side by side, but where they are in use."""
        balancing = Balancing(self.topology, work, self.watch)
        planned = balancing.planned()
        if planned is None:
            return {node.name: pool.submit(work.balance, node) for node in self.topology.load_balancers}
        return dict.fromkeys((node.name for node in self.topology.load_balancers), pool.submit(balancing.run, planned))

    def _cluster(
        self,
        stage: Stage,
        work: Work,
        pool: ThreadPoolExecutor,
        balanced: Mapping[str, Future[None]],
        prepared: Mapping[str, Future[None]],
    ) -> None:
        wanted = self.topology.members(stage)
        seed = self._seed(work, prepared)
        if seed is not None:
            admission = Admission(self.topology, work, seed)
            outsiders = admission.outsiders(wanted)
        else:
            seed = self.topology.control_planes[0]
            gather([prepared[seed.name], *balanced.values()])
            self._await_vip(seed)
            work.steps(seed, ["init"])
            admission, outsiders = Admission(self.topology, work, seed), [node for node in wanted if node != seed]
        others = [node for node in outsiders if node.name != seed.name]
        if outsiders:
            gather([prepared[node.name] for node in (seed, *others)])
            admission.admit(others, pool)
        masters = [node for node in self.topology.control_planes if node.name != seed.name]
        if seed in outsiders and masters:  # it answered, and is no whole member itself: now another one is
            Admission(self.topology, work, masters[0]).admit([seed], pool)
        gather(list(prepared.values()))

    def _seed(self, work: Work, prepared: Mapping[str, Future[None]]) -> Node | None:
        """The member through which the others join, or None when there is no cluster yet (or no longer one)."""
        if not self.founded and not any(work.marked(node) for node in self.topology.control_planes):
            return None
        found = self._control_plane(work.seen).await_answer()
        if isinstance(found, Quorum):
            self._start_again(found, work, prepared)
            return None
        return found

    def _control_plane(self, seen: Mapping[str, Observation]) -> ControlPlane:
        return ControlPlane(self.topology, self.machines, self.timeline, seen, self.founded)

    def _refuse_to_give_up(self, seen: Mapping[str, Observation]) -> None:
        """Raise UsageError for a cluster that answers, before any step has changed something."""
        if not isinstance(self._control_plane(seen).await_answer(), Quorum):
            raise UsageError(
                "--start-again: the cluster has its quorum, there is nothing to be given up",
                "./inv up without it brings back what is missing; ./inv destroy removes the lab",
            )

    def _start_again(self, quorum: Quorum, work: Work, prepared: Mapping[str, Future[None]]) -> None:
        """Take every machine out of the cluster that cannot be saved; raises LabError where nobody said that it may.

        Members first: as long as one is left, the others still show a later run why it must begin again.
        """
        if self.founded and self.give_up is None:
            raise LabError(
                f"etcd has lost its quorum for good: {quorum}\nlost with their data: {', '.join(quorum.lost)}",
                "./inv up --start-again gives this cluster up, with all that is in it, and begins a new one",
            )
        half = [node.name for node in self.topology.etcd_members if work.half_joined(node)]
        why = f"{', '.join(half)} was added and never started" if half and not self.founded else str(quorum)
        self.timeline.line(Note(f"etcd has lost its quorum: {why}. Starting again from init"))
        gather(list(prepared.values()))  # nothing else may be at work on a machine that is cleaned
        if self.give_up is not None:
            self.give_up()
        members = [node for node in self.topology.nodes if work.marked(node)]
        others = [node for node in self.topology.nodes if not work.marked(node)]
        with self.timeline.phase("start again"), workers(len(self.topology.nodes)) as pool:
            for nodes in (members, others):
                gather([pool.submit(leave, self.machines[node.name]) for node in nodes])

    def _await_vip(self, first: Node) -> None:
        """kubeadm speaks to its own endpoint at once: somebody must hold the virtual IP before init."""
        with self.timeline.phase("virtual IP"):
            wait_for(
                f"a holder of the virtual IP {self.topology.vip}",
                lambda: [
                    node.name
                    for node in self.topology.load_balancers
                    if self.machines[node.name].run(f"ip -o addr show to {self.topology.vip}/32").check().stdout.strip()
                ],
                lambda holders: len(holders) == 1,
                seconds=VIP_SECONDS,
                hint=f"./inv ssh {first.name} journalctl -u keepalived -u haproxy",
            )
