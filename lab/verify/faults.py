"""Faults: what is done to a machine, and what undoes it. They only change; they neither look nor judge.

*stop*, *kill* and *crash* of haproxy are three different faults: stopped in good order; SIGKILL with its restart
switched off; SIGKILL as shipped, after which systemd starts it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from lab.errors import LabError, UsageError
from lab.providers.base import Capability, Provider
from lab.providers.libvirt import clocks
from lab.verify import programs
from lab.verify.view import LabView
from lab.waiting import wait_for, within

#: Prints the machine's own time, to tell the moment of a fault exactly: ssh alone takes longer than some failovers.
STAMP = "date +%s.%N"

#: Seconds for a machine to be reachable again after its power came back; an emulated one boots in 60 to 90 s.
BOOT = 240.0

#: Seconds for what a provider does to a machine; its own commands give up earlier, libvirt's library does not.
ACT = 90.0

#: The name of what stands for the pods that cases create.
TEST_PODS = "test-pods"

SCHEDULER = "/etc/kubernetes/manifests/kube-scheduler.yaml"
SET_ASIDE = "/etc/kubernetes/kube-scheduler.yaml.fault"
NO_RESTART = "/run/systemd/system/haproxy.service.d/fault-no-restart.conf"


#: What a provider does to a machine.
Act = Callable[[Provider, str], None]


class Fault(Protocol):
    """One fault on one machine. ``heal`` may be called at any time, also twice, also when ``begin`` got nowhere."""

    @property
    def name(self) -> str:
        """Its name in histories and tables."""

    @property
    def node(self) -> str:
        """The machine it is done to."""

    @property
    def silences(self) -> bool:
        """Does the machine itself stand still while it lasts?"""

    def prepare(self, view: LabView) -> None:
        """What must be done before, so that the fault itself is one instant. Counted as part of the fault by heal."""

    def begin(self, view: LabView) -> float | None:
        """Do it; returns the moment by the machine's own clock, in seconds since the epoch, where that can be told."""

    def heal(self, view: LabView) -> None:
        """Undo it, and return only when the machine is there again. Raises LabError when that cannot be done."""


@dataclass(frozen=True)
class Scripts:
    """A fault made of three scripts that run on the machine; ``change`` is one command, whose instant is the moment."""

    change: str
    undo: str
    before: str = ""


@dataclass(frozen=True)
class ScriptFault:
    """A fault inside a machine."""

    name: str
    node: str
    scripts: Scripts
    silences: bool = False

    def prepare(self, view: LabView) -> None:
        """Run the script that goes before."""
        if self.scripts.before:
            self._run(view, self.scripts.before, "before")

    def begin(self, view: LabView) -> float | None:
        """Stamp the time, then change."""
        result = view.machines[self.node].run(
            f"set -eu\n{STAMP}\n{self.scripts.change}\n", label=f"fault {self.name}", timeout=60.0
        )
        result.check("the fault could not be made; it is healed all the same")
        return float(result.stdout.split()[0])

    def heal(self, view: LabView) -> None:
        """Run the script that undoes it."""
        self._run(view, self.scripts.undo, "heal")

    def _run(self, view: LabView, script: str, step: str) -> None:
        result = view.machines[self.node].run(
            f"set -eu\n{script}\n", label=f"{step} of fault {self.name}", timeout=60.0
        )
        result.check(f"look at {self.node} by ./inv ssh {self.node}; the next command tries to heal it again")


@dataclass(frozen=True)
class MachineFault:
    """A fault of the whole machine, done by the provider; ``stills`` says that its time stands still meanwhile."""

    name: str
    node: str
    change: Act
    undo: Act
    stills: bool
    silences: bool = True

    def prepare(self, view: LabView) -> None:
        """Nothing: the provider's call is the instant."""

    def begin(self, view: LabView) -> float | None:
        """Do it. The machine cannot tell when: it is gone."""
        within(ACT, f"{self.name} on {self.node}", lambda: self.change(view.provider, self.node))
        return None

    def heal(self, view: LabView) -> None:
        """Undo it, wait until commands run on the machine again, and set its clock right if it stood still."""
        within(ACT, f"{self.node} to go on", lambda: self.undo(view.provider, self.node))
        reachable(view, self.node)
        if self.stills and Capability.OWN_CLOCK in view.provider.capabilities:
            clocks.step([view.machines[self.node]])


@dataclass(frozen=True)
class TestPods:
    """The pods that cases create: no fault, but as little may be left of them.

    A master deletes them through its own apiserver: the VIP may be what a case has just found to be broken.
    """

    __test__ = False

    node: str
    name: str = TEST_PODS
    silences: bool = False

    def prepare(self, view: LabView) -> None:
        """Nothing."""

    def begin(self, view: LabView) -> float | None:
        """Nothing: the cases create them."""
        return None

    def heal(self, view: LabView) -> None:
        """Delete all pods that any case ever created."""
        endpoint = f"{view.topology.node(self.node).address}:6443"
        args = [endpoint, programs.KUBECONFIG, "halab-clean", "clean"]
        programs.run(view.machines[self.node], "api", args).check("the next command tries again")


def reachable(view: LabView, node: str) -> None:
    """Wait until a machine carries out commands. Raises WaitTimeout after BOOT seconds."""

    def answers() -> str:
        try:
            result = view.machines[node].run("echo here", timeout=5.0)
        except LabError as error:
            return error.message
        return "here" if result.ok else result.tail(1)

    wait_for(f"{node} to answer over ssh", answers, lambda said: said == "here", seconds=BOOT, interval=0.5)


STOPPED_HAPROXY = "systemctl reset-failed haproxy.service\nsystemctl start haproxy.service"

SCRIPTS = {
    "haproxy-stop": Scripts("systemctl stop haproxy.service", STOPPED_HAPROXY),
    "haproxy-kill": Scripts(
        "systemctl kill --signal=SIGKILL haproxy.service",
        f"rm -f {NO_RESTART}\nsystemctl daemon-reload\n{STOPPED_HAPROXY}",
        before=(
            f"mkdir -p {NO_RESTART.rpartition('/')[0]}\n"
            f"printf '[Service]\\nRestart=no\\n' > {NO_RESTART}\nsystemctl daemon-reload"
        ),
    ),
    "haproxy-crash": Scripts("systemctl kill --signal=SIGKILL haproxy.service", STOPPED_HAPROXY),
    "haproxy-hang": Scripts(
        "systemctl kill --signal=SIGSTOP haproxy.service",
        # A watchdog may have replaced the stopped one: there may be nothing left to continue.
        f"! systemctl is-active --quiet haproxy.service || systemctl kill --signal=SIGCONT haproxy.service\n"
        f"{STOPPED_HAPROXY}",
    ),
    "scheduler-remove": Scripts(
        f"mv {SCHEDULER} {SET_ASIDE}",
        f"if [ -e {SET_ASIDE} ]; then mv {SET_ASIDE} {SCHEDULER}; fi",
    ),
}


#: name → (do, undo, does the machine's time stand still?)
MACHINE: dict[str, tuple[Act, Act, bool]] = {
    "power-cut": (lambda provider, node: provider.cut(node), lambda provider, node: provider.start(node), False),
    "pause": (lambda provider, node: provider.pause(node), lambda provider, node: provider.unpause(node), True),
}


def make(name: str, node: str) -> Fault:
    """The fault of that name on that machine. Raises UsageError for a name that does not exist."""
    if name in SCRIPTS:
        return ScriptFault(name, node, SCRIPTS[name])
    if name in MACHINE:
        return MachineFault(name, node, *MACHINE[name])
    if name == TEST_PODS:
        return TestPods(node)
    raise UsageError(f"no such fault: {name}", f"there are: {', '.join(sorted([*SCRIPTS, *MACHINE]))}")
