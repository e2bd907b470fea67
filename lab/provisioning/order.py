"""Who waits for whom while machines become a cluster. Knows order only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from lab.cluster.observation import Observation, insist
from lab.cluster.quorum import Quorum
from lab.command import Note
from lab.errors import LabError, UsageError
from lab.machine import Machine
from lab.parallel import gather, workers
from lab.plan.steps import STEPS, Once, Step, machines_of, steps_of
from lab.provisioning.admission import Admission, refuse_silent
from lab.provisioning.balancing import Balancing, Watch, unwatched
from lab.provisioning.control_plane import ControlPlane
from lab.provisioning.membership import leave
from lab.provisioning.step import Script
from lab.provisioning.walk import Walk
from lab.provisioning.work import Work
from lab.stage import Stage
from lab.timeline import Timeline
from lab.topology import Node, Topology
from lab.waiting import wait_for

#: Seconds for the virtual IP to appear once keepalived runs on the masters.
VIP_SECONDS = 30.0


@dataclass(frozen=True)
class Provisioner:
    """Leads machines through the table of ``steps``. ``scripts`` maps (node, step) to the rendered step.

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
    steps: Sequence[Step] = STEPS

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
        walk = Walk(work, {node.name: self._way(node, stage, work) for node in self.topology.nodes})
        with workers(len(self.topology.nodes) * 2) as pool:
            try:
                begun = self._begin(work, walk, pool)
                if stage.has_kubernetes:
                    self._cluster(stage, work, walk, pool, begun)
                gather(list(begun.values()))
            except BaseException as error:
                walk.fail(error)  # of what nobody leads anybody through any more
                raise
        return work.done

    def _way(self, node: Node, stage: Stage, work: Work) -> list[Step]:
        """The steps that a machine goes through by itself. Where an apiserver is, nothing stands in for it."""
        return [
            step
            for step in steps_of(self.topology, node, self.steps)
            if step.once is None and step.belongs(stage) and not (step.ends is not None and work.marked(node))
        ]

    def _begin(self, work: Work, walk: Walk, pool: ThreadPoolExecutor) -> dict[str, Future[None]]:
        """All machines on their way, side by side; where load balancers are in use, those go one after another."""
        balancing = Balancing(self.topology, work, self.watch, self.steps)
        planned = balancing.planned()
        if planned is None:
            return {node.name: pool.submit(walk.go, node) for node in self.topology.nodes}
        led = {node.name: (*balancing.ahead(node), *balancing.shared) for node in self.topology.load_balancers}

        def roll() -> None:
            try:
                balancing.run(planned)
                for name, steps in led.items():
                    walk.led(name, steps)
            except BaseException as error:
                for name in led:
                    walk.fail(error, name)  # which those tell who wait for it
                raise

        pool.submit(roll)
        return {node.name: pool.submit(walk.go, node, led.get(node.name, ())) for node in self.topology.nodes}

    def _cluster(
        self, stage: Stage, work: Work, walk: Walk, pool: ThreadPoolExecutor, begun: Mapping[str, Future[None]]
    ) -> None:
        wanted = self.topology.members(stage)
        joins = [step for step in self.steps if step.once is Once.MACHINE and step.belongs(stage)]
        seed = self._seed(work, begun)
        if seed is not None:
            admission = Admission(self.topology, work, seed, joins)
            outsiders = admission.outsiders(wanted)
        else:
            seed = self._found(work, walk, begun)
            admission = Admission(self.topology, work, seed, joins)
            outsiders = [node for node in wanted if node != seed]
        others = [node for node in outsiders if node.name != seed.name]
        if outsiders:
            gather([begun[node.name] for node in (seed, *others)])
            admission.admit(others, pool)
        members = [node for node in self.topology.control_planes if node.name != seed.name]
        if seed in outsiders and members:  # it answered, and is no whole member itself: now another one is
            Admission(self.topology, work, members[0], joins).admit([seed], pool)

    def _found(self, work: Work, walk: Walk, begun: Mapping[str, Future[None]]) -> Node:
        """Begin a cluster; returns its first member."""
        for step in (step for step in self.steps if step.once is Once.CLUSTER):
            (machine,) = machines_of(self.topology, step)
            gather([begun[machine.name], *walk.of(step.after)])
            self._await_vip(machine)
            work.run(machine, [step])
        return self.topology.control_planes[0]

    def _seed(self, work: Work, begun: Mapping[str, Future[None]]) -> Node | None:
        """The member through which the others join, or None when there is no cluster yet (or no longer one)."""
        if not self.founded and not any(work.marked(node) for node in self.topology.control_planes):
            return None
        found = self._control_plane(work.seen).await_answer()
        if isinstance(found, Quorum):
            self._start_again(found, work, begun)
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

    def _start_again(self, quorum: Quorum, work: Work, begun: Mapping[str, Future[None]]) -> None:
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
        gather(list(begun.values()))  # nothing else may be at work on a machine that is cleaned
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
