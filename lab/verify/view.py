"""What the cases need of a running lab, and nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.machine import Machine
from lab.verify.pace import NATIVE, Pace

if TYPE_CHECKING:
    from lab.providers.base import Provider
    from lab.state import State
    from lab.topology import Node, Topology


@dataclass(frozen=True)
class LabView:
    """A running lab: its topology, its machines by node name, its provider and its state.

    ``kubernetes`` says whether a cluster runs on the machines, or only the load balancer; ``pace`` is what the machine
    that plays the client can do.
    """

    topology: Topology
    machines: Mapping[str, Machine]
    provider: Provider
    state: State
    kubernetes: bool = True
    pace: Pace = NATIVE

    @property
    def ranking(self) -> tuple[Node, ...]:
        """The masters, best priority first: the order in which the VIP should fall to them."""
        return self.topology.ranked

    @property
    def endpoint(self) -> str:
        """Where the cluster's API is to be reached: the VIP."""
        return f"{self.topology.vip}:{self.topology.port}"

    def operator(self, *broken: str) -> str:
        """The master from which requests are made: the least of those that are not broken."""
        return next((node.name for node in reversed(self.ranking) if node.name not in broken), self.ranking[0].name)

    @property
    def client(self) -> Machine:
        """The machine that plays the client: the first worker, or the least of the masters where there is none."""
        workers = self.topology.workers
        return self.machines[workers[0].name if workers else self.ranking[-1].name]
