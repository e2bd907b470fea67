"""A lab as the commands see it: its definition, its machines and how to reach them, put together once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lab.cluster.observation import Observation, observe
from lab.cluster.status import Status, fold
from lab.command import CommandTimeout, Result
from lab.definition import Definition, load
from lab.errors import LabError, UsageError
from lab.identity import Identity
from lab.machine import Channel, Machine
from lab.plan.site import Site
from lab.providers import choice
from lab.providers.base import MachineState, Provider
from lab.stage import Stage
from lab.state import State
from lab.topology import Node, Topology, derive
from lab.verify.ledger import still_open

#: The project's folder: definitions, provision/ and the labs' state lie below it.
FOLDER = Path(__file__).resolve().parent.parent

DEFAULT_DEFINITION = FOLDER / "configs" / "ha.yaml"


@dataclass(frozen=True)
class Lab:
    """One lab that exists, or is about to."""

    definition: Definition
    topology: Topology
    state: State
    provider: Provider
    site: Site

    @property
    def kubernetes(self) -> bool:
        """Was it brought further than its load balancer?"""
        stage = self.state.stage
        return stage is not None and stage.has_kubernetes

    @property
    def identity(self) -> Identity:
        """The lab's names on this host."""
        return self.state.identity

    @cached_property
    def channel(self) -> Channel:
        """How commands reach the machines."""
        return Channel(tuple(self.provider.enter()), self.state.ssh_config, self.state.sockets)

    @cached_property
    def machines(self) -> Mapping[str, Machine]:
        """Every machine of the definition, running or not."""
        return {node.name: Machine(node.name, self.channel) for node in self.topology.nodes}

    def machine(self, name: str) -> Machine:
        """One machine by its name. Raises UsageError that lists the names."""
        if name not in self.machines:
            raise UsageError(
                f"lab {self.identity.name} has no machine {name!r}", f"its machines: {', '.join(self.machines)}"
            )
        return self.machines[name]

    def observe(self) -> tuple[dict[str, MachineState], dict[str, Observation]]:
        """Every machine's state, and what each running one says."""
        states = self.provider.states()
        running = {name: self.machines[name] for name, state in states.items() if state is MachineState.RUNNING}
        return states, observe(self.topology, running)

    def status(self) -> Status:
        """The lab at this moment."""
        states, seen = self.observe()
        # Before the stage is written there are machines at best.
        stage = self.state.stage or Stage.MACHINES
        left = still_open(self.state, litter=False)
        return fold(
            self.topology, self.provider.name, states, seen, lab=self.identity.name, stage=stage, still_open=left
        )

    def control_plane(self) -> tuple[Node, Machine]:
        """A master whose apiserver answers. Raises LabError when none does."""
        said = []
        for node in self.topology.masters:
            machine = self.machines[node.name]
            try:
                probe = machine.run("kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /readyz", timeout=15.0)
            except CommandTimeout as error:
                said.append(f"{node.name}: {error.hint}")
                continue
            if probe.ok:
                return node, machine
            said.append(f"{node.name}: {probe.tail(1)}")
        raise LabError(
            "no apiserver answers through the virtual IP\n" + "\n".join(said), "./inv status shows what is wrong"
        )

    def kubectl(self, *args: str, timeout: float = 60.0) -> Result:
        """Run kubectl on the first master that takes it, through the virtual IP; the status is not judged."""
        _, machine = self.control_plane()
        return machine.run(
            'kubectl --kubeconfig /etc/kubernetes/admin.conf "$@"', list(args), timeout=timeout, label="kubectl"
        )


def find(lab: str = "", definition: str = "") -> State:
    """The state folder that a command means: by --lab, else by the definition's name."""
    if lab:
        return State(Identity(lab, FOLDER))
    return State(Identity(load(source_of(definition)).name, FOLDER))


def source_of(definition: str) -> Path:
    """The definition's file: the one named on the command line, else the default."""
    # (Path's own resolve raises RuntimeError for a link that leads to itself: reading it tells that better.)
    return Path(os.path.realpath(definition)) if definition else DEFAULT_DEFINITION


def open_lab(lab: str = "", definition: str = "") -> Lab:
    """A lab that ``up`` has made before, exactly as it was made. Raises LabError when there is none."""
    state = find(lab, definition)
    site = state.load_site()
    if site is None or not state.definition.is_file():
        known = sorted(path.parent.name for path in (FOLDER / ".lab").glob("*/site.json"))
        raise LabError(
            f"there is no lab {state.identity.name}",
            f"./inv up makes it; labs here: {', '.join(known) if known else 'none'}",
        )
    return assemble(load(state.definition), state, site)


def assemble(definition: Definition, state: State, site: Site) -> Lab:
    """Put a lab together from its parts."""
    topology = derive(definition, site.driver)
    return Lab(topology.definition, topology, state, choice.make(site, topology), site)
