"""A changed load balancer on masters that are in use: one after another, so that the VIP stays with somebody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile

from lab.command import Note
from lab.errors import LabError
from lab.model.functions import Function
from lab.parallel import gather, workers
from lab.plan.change import Change, Turn, change
from lab.plan.election import Router, read
from lab.plan.steps import STEPS, Step, lasting
from lab.provisioning.work import Work
from lab.stage import Stage
from lab.topology import Node, Topology
from lab.waiting import wait_for

#: Seconds until the right master holds the VIP again: the slowest definition here checks every three seconds.
SETTLE_SECONDS = 90.0

#: The unit that takes part in the election.
ELECTOR = "keepalived"

#: A master's settings, in force or not.
SETTINGS = "cat /etc/keepalived/keepalived.conf"

#: The settings that are in force on a master; nothing where its keepalived does not run, or runs with older ones (see
#: provision/common/put.sh: the step that changed the file was killed before the restart).
IN_FORCE = """
systemctl is-active --quiet keepalived || exit 0
grep -qsx /etc/keepalived/keepalived.conf /run/halab/changed/keepalived.service || cat /etc/keepalived/keepalived.conf
"""

#: A master's part in the election: the state that its keepalived told of last since it began (an empty line where it
#: told of none), and the VIP if it has it.
PART = r"""
began=$(systemctl show --property InvocationID --value keepalived)
said=$(journalctl --quiet --no-pager --output cat _SYSTEMD_INVOCATION_ID="$began")
echo "$(sed -nE 's/.*Entering ([A-Z]+) STATE.*/\1/p' <<< "$said" | tail -n 1)"
ip -o addr show to "$1/32"
"""

#: The states of a master that would take over (FAULT would not).
IN_ELECTION = frozenset({"BACKUP", "MASTER"})

#: Watches the VIP while a change goes on, and tells what it saw.
Watch = Callable[[Change], AbstractContextManager[object]]


def unwatched(change: Change) -> AbstractContextManager[object]:
    """Watches nothing."""
    return nullcontext()


@dataclass(frozen=True)
class Balancing:
    """Brings the load balancers of masters that are in use to what was rendered, as far as ``work`` finds it due."""

    topology: Topology
    work: Work
    watch: Watch = unwatched
    steps: Sequence[Step] = STEPS

    @cached_property
    def shared(self) -> tuple[Step, ...]:
        """The steps that load balancers in use go through one after another."""
        return tuple(step for step in self.steps if step.serial is Function.LOAD_BALANCER)

    def ahead(self, node: Node) -> tuple[Step, ...]:
        """What a load balancer goes through before those, whatever the others do."""
        way = lasting(self.topology, node, Stage.LOADBALANCER, self.steps)
        return tuple(takewhile(lambda step: step not in self.shared, way))

    def planned(self) -> Change | None:
        """What is to be done; None where nothing is, or where nobody holds the VIP yet, as in a first ``up``."""
        due = {
            node.name for node in self.topology.load_balancers if any(self.work.due(node, step) for step in self.shared)
        }
        running = {node.name: node for node in self.topology.load_balancers if self._runs(node)}
        holders = [name for name, node in running.items() if self._holds(node)]
        if len(holders) != 1 or not due & running.keys():
            return None
        now = {name: self._in_force(node) for name, node in running.items()}
        return change(self.topology, now, holders[0], due)

    def run(self, planned: Change) -> None:
        """Walk through it. Raises LabError at the first master that does not come back as it should."""
        self.work.timeline.line(Note(f"the load balancer changes: {planned.reason}; promised: {planned}"))
        self._each(
            [node.name for node in self.topology.load_balancers],
            lambda node: self.work.run(node, self.ahead(node)),
        )
        with self.watch(planned):
            self._each(planned.stopped, self._leave)
            try:
                for turn in planned.turns:
                    self._each(turn.nodes, self._change if planned.rolling else self._replace)
                    self._settle(turn)
            except LabError:
                with suppress(LabError):  # the first error is the one to be told
                    self._return(planned)
                raise

    def _each(self, names: Sequence[str], do: Callable[[Node], object]) -> None:
        """On these masters side by side."""
        with workers(len(names)) as pool:
            gather([pool.submit(do, self.topology.node(name)) for name in names])

    def _runs(self, node: Node) -> bool:
        return bool(self.work.seen[node.name].get("units", {}).get(ELECTOR) == "active")

    def _holds(self, node: Node) -> bool:
        return str(self.topology.vip) in self.work.seen[node.name].get("addresses", ())

    def _in_force(self, node: Node) -> Router | None:
        return read(
            self.work.machines[node.name].run(IN_FORCE, label="keepalived in force").check().stdout, node.address
        )

    def _leave(self, node: Node) -> None:
        self.work.machines[node.name].run(f"systemctl stop {ELECTOR}").check()

    def _enter(self, node: Node) -> None:
        self.work.machines[node.name].run(f"systemctl start {ELECTOR}").check()

    def _change(self, node: Node) -> None:
        """Change one of several: it leaves before, so that a haproxy that restarts does not move the VIP as well."""
        leaves = self._runs(node) and any(self.work.due(node, step) for step in self.shared if step.unit == ELECTOR)
        if leaves:
            self._leave(node)
        try:
            self.work.run(node, self.shared)
        except LabError:
            if leaves:
                with suppress(LabError):  # the first error is the one to be told
                    self._enter(node)
            raise

    def _replace(self, node: Node) -> None:
        """Change the only one in the election, or bring back one that had to leave it."""
        self.work.run(node, self.shared)
        self._enter(node)

    def _return(self, planned: Change) -> None:
        """After a failure: those that had to leave come back where they and the holder understand each other."""
        holder = self._in_force(self.topology.node(planned.turns[0].holder))
        for name in planned.stopped:
            node = self.topology.node(name)
            own = read(self.work.machines[name].run(SETTINGS, label="keepalived settings").stdout, node.address)
            if holder is None or (own is not None and own.understands(holder)):
                self._enter(node)

    def _settle(self, turn: Turn) -> None:
        """Wait until the masters of a turn are in the election, and the right one has the VIP."""
        last = ", ".join(turn.nodes)
        wait_for(
            f"{last} in the election again and {turn.holder} with the virtual IP {self.topology.vip}",
            self._parts,
            lambda parts: (
                [name for name, (_, holds) in parts.items() if holds] == [turn.holder]
                and all(parts[name][0] in IN_ELECTION for name in turn.nodes)
            ),
            seconds=SETTLE_SECONDS,
            hint=f"what was not changed yet goes on as before; ./inv ssh {turn.nodes[0]} journalctl -u keepalived",
        )

    def _parts(self) -> dict[str, tuple[str, bool]]:
        """Each master's state in the election as it told of it last, and whether it has the VIP."""

        def part(node: Node) -> tuple[str, bool]:
            said = self.work.machines[node.name].run(PART, [str(self.topology.vip)], label="part in the election")
            state, _, address = said.check().stdout.partition("\n")
            return state, bool(address.strip())

        with workers(len(self.topology.load_balancers)) as pool:
            return dict(
                zip(
                    (n.name for n in self.topology.load_balancers),
                    pool.map(part, self.topology.load_balancers),
                    strict=True,
                )
            )


def balance(topology: Topology, work: Work, watch: Watch = unwatched) -> None:
    """Bring all masters' load balancers to what was rendered: one after another where they are in use."""
    balancing = Balancing(topology, work, watch)
    planned = balancing.planned()
    if planned is not None:
        balancing.run(planned)
        return
    with workers(len(topology.load_balancers)) as pool:
        ways = {node: (*balancing.ahead(node), *balancing.shared) for node in topology.load_balancers}
        gather([pool.submit(work.run, node, way) for node, way in ways.items()])
