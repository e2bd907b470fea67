"""The hands with which faults are done and undone on a lab's machines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from lab.errors import LabError
from lab.machine import Machine
from lab.machines import programs
from lab.providers.base import Capability, Provider
from lab.providers.libvirt import clocks
from lab.topology import Topology
from lab.waiting import wait_for, within

#: Prints the machine's own time, to tell the moment of a fault exactly: ssh alone takes longer than some failovers.
STAMP = "date +%s.%N"

#: Seconds for a script on a machine.
SCRIPT = 60.0

#: Seconds for a machine to be reachable again after its power came back; an emulated one boots in 60 to 90 s.
BOOT = 240.0

#: Seconds for what a provider does to a machine; its own commands give up earlier, libvirt's library does not.
ACT = 90.0


class Machines(Protocol):
    """As much of a lab as faults touch."""

    @property
    def topology(self) -> Topology:
        """Its nodes and addresses."""

    @property
    def machines(self) -> Mapping[str, Machine]:
        """Its machines by name."""

    @property
    def provider(self) -> Provider:
        """What switches them off and on."""


@dataclass(frozen=True)
class MachineHands:
    """Hands on the machines of a lab (lab.faults.kind.Hands)."""

    lab: Machines

    def run(self, node: str, script: str, label: str) -> None:
        """A script, as root."""
        result = self.lab.machines[node].run(f"set -eu\n{script}\n", label=label, timeout=SCRIPT)
        result.check(f"look at {node} by ./inv ssh {node}; the next command tries to heal it again")

    def strike(self, node: str, command: str, label: str) -> float:
        """One command, and when."""
        result = self.lab.machines[node].run(f"set -eu\n{STAMP}\n{command}\n", label=label, timeout=SCRIPT)
        result.check("the fault could not be made; it is healed all the same")
        return float(result.stdout.split()[0])

    def cut(self, node: str) -> None:
        """Off, at once."""
        within(ACT, f"power-cut on {node}", lambda: self.lab.provider.cut(node))

    def start(self, node: str) -> None:
        """On again."""
        self._go_on(node, self.lab.provider.start)

    def pause(self, node: str) -> None:
        """Still."""
        within(ACT, f"pause on {node}", lambda: self.lab.provider.pause(node))

    def unpause(self, node: str) -> None:
        """On again, at the right time."""
        self._go_on(node, self.lab.provider.unpause)
        if Capability.OWN_CLOCK in self.lab.provider.capabilities:
            clocks.step([self.lab.machines[node]])

    def delete_test_pods(self, node: str) -> None:
        """All that any case ever created."""
        endpoint = f"{self.lab.topology.node(node).address}:6443"
        args = [endpoint, programs.KUBECONFIG, "halab-clean", "clean"]
        programs.run(self.lab.machines[node], "api", args).check("the next command tries again")

    def _go_on(self, node: str, act: Callable[[str], None]) -> None:
        within(ACT, f"{node} to go on", lambda: act(node))
        reachable(self.lab.machines[node])


def reachable(machine: Machine) -> None:
    """Wait until a machine carries out commands. Raises WaitTimeout after BOOT seconds."""

    def answers() -> str:
        try:
            result = machine.run("echo here", timeout=5.0)
        except LabError as error:
            return error.message
        return "here" if result.ok else result.tail(1)

    wait_for(f"{machine.name} to answer over ssh", answers, lambda said: said == "here", seconds=BOOT, interval=0.5)
