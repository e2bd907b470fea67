"""Machines that only remember what was run on them, and a lab of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.command import LineSink, Result
from lab.definition import parse
from lab.model.functions import Function
from lab.plan import STEPS, Step, steps_of
from lab.provisioning import Provisioner, Script, membership
from lab.provisioning.step import RECORD
from lab.stage import Stage
from lab.timeline import Phase, Timeline
from lab.topology import Topology, derive

TOKEN, HASH, KEY = "abcdef.0123456789abcdef", "sha256:" + "5" * 64, "7" * 64
SECRETS = (TOKEN, HASH, KEY)

#: What a machine answers to a script: its status and its output. Called while the script "runs".
Answer = Callable[["Call"], tuple[int, str] | None]


@dataclass(frozen=True)
class Call:
    """One script on one machine; ``name`` is the step's, or a word for what else provisioning does."""

    machine: str
    name: str
    text: str
    label: str


@dataclass
class Journal:
    """What ran on all machines, as ("begin" or "end", machine, name), in the order of time."""

    events: list[tuple[str, str, str]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, edge: str, call: Call) -> None:
        with self.lock:
            self.events.append((edge, call.machine, call.name))
            if edge == "begin":
                self.calls.append(call)

    def steps(self, machine: str) -> list[str]:
        """The steps of one machine in their order."""
        return [
            call.name
            for call in self.calls
            if call.machine == machine and call.text.splitlines()[-1].startswith("step ")
        ]

    def before(self, first: tuple[str, str], second: tuple[str, str]) -> bool:
        """Had the first (machine, name) ended when the second began?"""
        return self.events.index(("end", *first)) < self.events.index(("begin", *second))


@dataclass
class Cluster:
    """What the machines and the cluster know, as steps and scripts change it.

    ``machines`` has each machine's own observation; the cluster's side is its authority, its Nodes (name → UID) and its
    etcd members (peer URL → name).
    """

    topology: Topology
    machines: dict[str, dict[str, Any]]
    authority: str = "first"
    nodes: dict[str, str] = field(default_factory=dict)
    peers: dict[str, str] = field(default_factory=dict)
    lives: int = 0

    def __post_init__(self) -> None:
        for name, seen in self.machines.items():
            if seen.get("joined") and seen["authority"] == self.authority:
                self._know(name, seen["node_uid"])

    def _know(self, name: str, uid: str) -> None:
        self.nodes[name] = uid
        if self.topology.node(name).has(Function.ETCD):
            self.peers[url(self.topology, name)] = name

    def forget(self, name: str) -> None:
        """Somebody removes a machine from the cluster."""
        self.nodes.pop(name, None)
        self.peers.pop(url(self.topology, name), None)

    def says(self, call: Call, args: Sequence[str]) -> str:
        """What a script prints, and what it changes."""
        name = call.machine
        if call.name == "init":
            self.authority, self.nodes, self.peers = f"made by {name}", {}, {}
        if call.name in ("init", "join"):
            self.become_member(name)
        if call.name == "clean":
            self.machines[name] |= {"joined": False, "kubeadm_traces": False, "etcd_data": False, "authority": ""}
        if call.name == "forget":
            for machine in args[1:]:
                self.forget(machine.partition("=")[0])
        if call.name == "observe":
            return json.dumps(self.observation(name))
        if call.name == "etcd members":
            return json.dumps([{"name": member, "peerURLs": [peer]} for peer, member in self.peers.items()])
        return ""

    def become_member(self, name: str) -> None:
        assert not self.machines[name].get("joined"), (
            f"init and join do nothing on {name}, which has the mark of a member"
        )
        self.lives += 1
        uid = f"uid-{name}-{self.lives}"
        self._know(name, uid)
        self.machines[name] |= {"joined": True, "kubeadm_traces": True, "authority": self.authority, "node_uid": uid}
        self.machines[name]["etcd_data"] = self.topology.node(name).has(Function.ETCD)

    def observation(self, name: str) -> dict[str, Any]:
        """What the observer prints on a machine."""
        seen = self.machines[name]
        if not (
            seen.get("joined") and self.topology.node(name).has(Function.ETCD) and seen["authority"] == self.authority
        ):
            return seen
        members = [{"id": peer, "name": member, "peer_urls": [peer]} for peer, member in self.peers.items()]
        nodes = [{"name": node, "uid": uid} for node, uid in self.nodes.items()]
        return {**seen, "nodes": nodes, "etcd": {"id": "", "leader": "", "members": members}}


def url(topology: Topology, name: str) -> str:
    """A master's peer URL."""
    return f"https://{topology.node(name).address}:2380"


@dataclass
class FakeMachine:
    """Remembers what is run on it; has the virtual IP when it shall."""

    name: str
    journal: Journal
    answer: Answer
    cluster: Cluster

    def run(
        self,
        script: str,
        args: Sequence[str] = (),
        *,
        label: str | None = None,
        timeout: float | None = 60.0,
        sink: LineSink | None = None,
        secret: bool = False,
    ) -> Result:
        assert timeout is not None, "every wait has a deadline"
        call = Call(self.name, _name(script, args, label), script, label or "")
        self.journal.add("begin", call)
        status, output = self.answer(call) or (0, self._usual(call, args))
        if sink is not None:
            sink(output)
        self.journal.add("end", call)
        return Result(
            label or "script", status, output, "" if status == 0 else f"{call.name} is ill", 0.1, self.name, secret
        )

    def _usual(self, call: Call, args: Sequence[str]) -> str:
        if call.name == "mint":
            return "\n".join(SECRETS if "control-plane" in args else SECRETS[:2])
        if call.name == "vip":
            return f"2: eth0 inet {self.name}" if self.name == "master1" else ""
        with self.journal.lock:
            return self.cluster.says(call, args)


def _name(script: str, args: Sequence[str], label: str | None) -> str:
    if script == RECORD:
        return f"record {args[0]}"
    if script == membership.MINT.read_text():
        return "mint"
    if script == membership.FORGET.read_text():
        return "forget"
    if script == membership.FINISH.read_text():
        return "finish"
    if membership.CLEAN.read_text() in script:
        return "clean"
    if script.startswith("ip "):
        return "vip"
    if "/readyz" in script:
        return "readyz"
    if label in (membership.HEALTH, membership.PEERS, "observe"):
        return label
    return script.splitlines()[-1].removeprefix("step ")


class Told:
    """A listener that keeps every line it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.phases: list[Phase] = []

    def begin(self, machine: str, phase: str) -> None:
        self.lines.append(f"{machine} {phase}")

    def line(self, machine: str, text: str) -> None:
        self.lines.append(text)

    def end(self, phase: Phase) -> None:
        self.phases.append(phase)


@dataclass
class Lab:
    """A lab of machines that only remember."""

    masters: int = 3
    workers: int = 2
    answer: Answer = lambda call: None
    journal: Journal = field(default_factory=Journal)
    told: Told = field(default_factory=Told)
    cluster: Cluster | None = None
    steps: Sequence[Step] = STEPS

    @property
    def topology(self) -> Topology:
        nodes = [f"  - {{name: master{n}, role: master}}" for n in range(1, self.masters + 1)]
        nodes += [f"  - {{name: worker{n}, role: worker}}" for n in range(1, self.workers + 1)]
        return derive(parse("nodes:\n" + "\n".join(nodes) + "\n"), driver="")

    @property
    def scripts(self) -> dict[tuple[str, str], Script]:
        return {
            (node.name, step.name): Script(step.name, node.name, f"step {step.name}\n")
            for node in self.topology.nodes
            for step in steps_of(self.topology, node, self.steps)
        }

    def run(
        self,
        stage: Stage,
        seen: Mapping[str, Mapping[str, Any]] | None = None,
        start: Mapping[str, Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> list[str]:
        """Run the provisioner on machines of which this is seen (nothing yet, unless told); ``options`` are its own.

        ``start`` is what the run is told, where that is something else than what is.
        """
        if self.cluster is None:
            given = self.seen() if seen is None else seen
            self.cluster = Cluster(self.topology, {name: dict(one) for name, one in given.items()})
        start = start or {name: dict(self.cluster.observation(name)) for name in self.cluster.machines}
        machines = {name: FakeMachine(name, self.journal, self.answer, self.cluster) for name in start}
        work = Provisioner(self.topology, machines, self.scripts, Timeline(self.told), steps=self.steps, **options)  # type: ignore[arg-type]
        return work.run(stage, start)

    def lose(self, *names: str) -> Cluster:
        """A lab that was whole, of which these machines are gone and were made anew."""
        everybody = [node.name for node in self.topology.nodes]
        if self.cluster is None:
            self.cluster = Cluster(self.topology, self.seen(*PREPARED, joined=everybody))
        blank = self.seen()
        self.cluster.machines.update({name: blank[name] for name in names})
        return self.cluster

    def seen(self, *steps: str, joined: Sequence[str] = (), traces: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
        """What machines say that have been through these steps, those in ``joined`` being members."""
        return {
            node.name: {
                "joined": node.name in joined,
                "kubeadm_traces": node.name in (*joined, *traces),
                "etcd_data": node.name in joined and node.has(Function.ETCD),
                "authority": "first" if node.name in joined else "",
                "node_uid": f"uid-{node.name}" if node.name in joined else "",
                "steps": {
                    name: script.digest
                    for (owner, name), script in self.scripts.items()
                    if owner == node.name and name in steps
                },
            }
            for node in self.topology.nodes
        }


PREPARED = ("node", "haproxy", "keepalived", "containerd", "kubernetes")
ALL = ("master1", "master2", "master3", "worker1", "worker2")
