"""The order in which machines become a cluster. Knows order only: what a step does stands in provision/.

::

    every machine   node, (masters: haproxy, keepalived), containerd, kubernetes     side by side
    first master    init, once the virtual IP answers
    other masters   join, one after another (etcd admits one new member at a time)
    workers         join, side by side, as soon as the first master is up

Where a cluster exists already, machines that are not in it join through a member that answers. A cluster that lost its
quorum because a join was killed half-way cannot be saved; it is begun again from init, and that is said.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.cluster.observation import Observation
from lab.command import CommandError, Note, Result
from lab.errors import LabError
from lab.machine import Machine
from lab.parallel import workers
from lab.stage import Stage
from lab.timeline import Timeline
from lab.topology import Node, Topology
from lab.waiting import WaitTimeout, wait_for

#: kubeadm's own limits add up to about ten minutes (kubelet 4, API 4, etcd 2): give up later than it does.
STEP_SECONDS = 660.0

#: Seconds for the virtual IP to appear once keepalived runs on the masters.
VIP_SECONDS = 30.0

#: What a step wrote is on the disk before the record of it, and the record before the next step: after a power cut the
#: record tells what is there. (A container's page cache is the host's and survives its end; to sync there is to wait
#: for the whole host's disks.)
RECORD = """
set -e
to_disk() { systemd-detect-virt --quiet --container || sync "$@"; }
to_disk
mkdir -p /var/lib/halab/steps
echo "$2" > "/var/lib/halab/steps/$1"
to_disk "/var/lib/halab/steps/$1"
"""

#: Seconds for an apiserver of an existing cluster to answer: a whole lab that was just switched on needs about 30.
API_SECONDS = 90.0

#: Scripts that run on a control plane while another machine joins; those that undo and await an earlier attempt.
KUBERNETES = Path(__file__).parent.parent / "provision" / "kubernetes"
MINT = KUBERNETES / "mint.sh"
FORGET = KUBERNETES / "forget-member.sh"
CLEAN = KUBERNETES / "clean.sh"
FINISH = KUBERNETES / "finish.sh"


@dataclass(frozen=True)
class Script:
    """One rendered step of one machine."""

    step: str
    node: str
    text: str

    @property
    def digest(self) -> str:
        """Tells whether a machine has been through this very text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Provisioner:
    """Runs steps on machines. ``scripts`` maps (node, step) to the rendered step."""

    topology: Topology
    machines: Mapping[str, Machine]
    scripts: Mapping[tuple[str, str], Script]
    timeline: Timeline

    def run(self, stage: Stage, seen: Mapping[str, Observation], *, again: bool = False) -> list[str]:
        """Bring all machines to ``stage``; returns what was done, as "NODE STEP".

        ``seen`` tells which steps each machine has been through; ``again`` runs the steps that may be repeated even so.
        Raises CommandError of the first step that failed, once the others that were under way have ended.
        """
        done: list[str] = []
        if stage is Stage.MACHINES:
            return done
        members = {name for name, observation in seen.items() if observation.get("joined")}
        work = _Work(self, seen, again, done, members)
        with workers(len(self.topology.nodes) * 2) as pool:
            balanced = {node.name: pool.submit(work.balance, node) for node in self.topology.masters}
            rest = (
                []
                if stage is not Stage.LOADBALANCER
                else [pool.submit(work.steps, node, ["node"]) for node in self.topology.workers]
            )
            if stage is Stage.LOADBALANCER:
                gather([*balanced.values(), *rest])
                # Where an apiserver is, there is nothing to stand in for.
                free = [node for node in self.topology.masters if not work.joined(node)]
                gather([pool.submit(work.steps, node, ["answerer"]) for node in free])
                return done
            prepared = {
                node.name: pool.submit(work.prepare, node, balanced.get(node.name)) for node in self.topology.nodes
            }
            self._cluster(stage, work, pool, balanced, prepared)
        return done

    def _cluster(
        self,
        stage: Stage,
        work: _Work,
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

    def _seed(self, work: _Work, prepared: Mapping[str, Future[None]]) -> Node | None:
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
            if not half:
                raise LabError(
                    f"no apiserver answers on {', '.join(node.name for node in members)}, though they are members",
                    "./inv status and ./inv logs help to find out why; ./inv destroy, then ./inv up, begins afresh",
                ) from None
            lost = f"etcd has lost its quorum: {', '.join(half)} was added and never started. Starting again from init"
            self.timeline.line(Note(lost))
            gather(list(prepared.values()))  # nothing else may be at work on a machine that is cleaned
            self._start_again(work)
            return None

    def _answers(self, node: Node) -> bool:
        probe = f"curl --silent --insecure --fail --max-time 2 --output /dev/null https://{node.address}:6443/readyz"
        return self.machines[node.name].run(probe, timeout=10.0).ok

    def _start_again(self, work: _Work) -> None:
        """Take every machine out of the cluster that cannot be saved.

        Members first: as long as one is left, the others still show a later run why it must begin again.
        """
        members = [node for node in self.topology.nodes if work.joined(node)]
        others = [node for node in self.topology.nodes if not work.joined(node)]
        with self.timeline.phase("start again"), workers(len(self.topology.nodes)) as pool:
            for nodes in (members, others):
                gather([pool.submit(reset, self.machines[node.name], CLEAN.read_text()) for node in nodes])
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


@dataclass(frozen=True)
class _Work:
    """The steps of one run, and what was done so far."""

    owner: Provisioner
    seen: Mapping[str, Observation]
    again: bool
    done: list[str]
    members: set[str]

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
            run_step(
                self.owner.machines[node.name], self.owner.scripts[node.name, "answerer-remove"], self.owner.timeline
            )
            self.owner.machines[node.name].run(
                "rm -f /var/lib/halab/steps/answerer /var/lib/halab/steps/answerer-remove"
            ).check()
        self.steps(node, ["containerd", "kubernetes"])

    def join(self, node: Node, seed: Node, before: Future[None]) -> None:
        """Join one machine with a credential minted for it alone."""
        before.result()
        if self.joined(node) or self._finished(node):
            return
        machine = self.owner.machines[seed.name]
        with self.owner.timeline.phase("credential", node.name):
            if node.is_master:
                forgotten = machine.run(
                    FORGET.read_text(), [f"https://{node.address}:2380"], label="forget a stale etcd member"
                )
                self.owner.timeline.line(forgotten.check().stdout, node.name)
            credential = mint(machine, node)
        self.steps(node, ["join"], credential)

    def _finished(self, node: Node) -> bool:
        """Has an attempt that an earlier run left going made the machine a member after all? Waits for its end.

        Without this etcd would be told to forget a member that is just about to start.
        """
        units = self.seen.get(node.name, {}).get("units", {})
        going = units.get("halab-kubeadm") == "activating"
        with self.owner.timeline.phase("earlier attempt", node.name) if going else nullcontext():
            said = self.owner.machines[node.name].run(
                FINISH.read_text(), timeout=STEP_SECONDS, label="let an earlier attempt come to its end"
            )
            lines = said.check().stdout.splitlines()
        for line in lines:
            self.owner.timeline.line(line, node.name)
        if "joined" not in lines:
            return False
        self.done.append(f"{node.name} join")
        return True

    def steps(self, node: Node, names: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Run the steps that the machine has not been through with this very text."""
        recorded = self.seen.get(node.name, {}).get("steps", {})
        for name in names:
            script = self.owner.scripts[node.name, name]
            once = name in ("init", "join")
            if once and self.joined(node):
                continue
            if not once and not self.again and recorded.get(name) == script.digest:
                continue
            run_step(self.owner.machines[node.name], script, self.owner.timeline, env)
            self.done.append(f"{node.name} {name}")


def run_step(machine: Machine, script: Script, timeline: Timeline, env: Mapping[str, str] | None = None) -> Result:
    """Run one step, then record on the machine that it has been through it.

    ``env`` may hold secrets: it travels over stdin, so that no process list shows it.
    """
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in (env or {}).items())
    with timeline.phase(script.step, machine.name):
        result = machine.run(
            exports + script.text,
            timeout=STEP_SECONDS,
            sink=lambda line: timeline.line(line, machine.name),
            label=f"step {script.step}",
        )
        if not result.ok:
            raise CommandError(
                result, f"once mended, ./inv up goes on from here; to look: ./inv ssh {machine.name}, ./inv logs"
            )
        machine.run(RECORD, [script.step, script.digest]).check()
    return result


def mint(machine: Machine, node: Node) -> dict[str, str]:
    """A fresh credential for ``node`` to join with, as environment variables, from a healthy control plane."""
    result = machine.run(MINT.read_text(), [node.role], label="mint a join credential", secret=True).check()
    names = ["JOIN_TOKEN", "JOIN_CA_HASH", *(["JOIN_CERTIFICATE_KEY"] if node.is_master else [])]
    values = result.stdout.split()
    if len(values) != len(names):
        raise LabError(f"{machine.name} minted {len(values)} words instead of {', '.join(names)}", f"see {MINT}")
    return dict(zip(names, values, strict=True))


def gather(futures: Sequence[Future[Any]]) -> None:
    """Wait for all, then raise the first failure: nothing goes on in the background after an error was shown."""
    errors = [error for error in (future.exception() for future in futures) if error is not None]
    if errors:
        raise errors[0]


def reset(machine: Machine, clean: str) -> None:
    """Take a machine out of whatever cluster it was in (``clean`` is the rendered clean script)."""
    machine.run(clean + "\nclean\n", timeout=120.0, label="clean").check()
