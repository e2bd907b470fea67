"""System containers through vagrant-lxc, in the lab's own network namespace.

Vagrant creates and starts them; all the rest (state, power, pause, removal) goes straight to LXC's own tools, which
answer in milliseconds. LXC's control socket is per network namespace, so every call goes through ``enter``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from lab import keypair
from lab.command import CommandError, LineSink, Note, Result, run, shown
from lab.contained import contained
from lab.identity import Identity
from lab.parallel import workers
from lab.providers.base import Capability, MachineState
from lab.providers.namespace import NetworkNamespace
from lab.providers.vagrant import LabVagrant, environment, ssh_defaults

#: Where LXC keeps its containers, a folder each (lxc.system.conf(5), lxc.lxcpath).
LXC_PATH = Path("/var/lib/lxc")

#: Where LXC leaves an empty lock file for every container that there ever was, below the container path's own name.
LOCKS = Path("/run/lxc/lock")

#: LXC's log of a container's start, in the container's folder (lxc-template tells LXC so).
LOG = "log"

#: Seconds in which a container shuts down in good order before it counts as stuck (systemd's own stop limit is 90).
STOP_SECONDS = 100

_STATES = {
    "RUNNING": MachineState.RUNNING,
    "STARTING": MachineState.RUNNING,
    "STOPPED": MachineState.STOPPED,
    "STOPPING": MachineState.STOPPED,
    "ABORTING": MachineState.STOPPED,
    "FROZEN": MachineState.PAUSED,
    "FREEZING": MachineState.PAUSED,
}


@dataclass(frozen=True)
class LxcProvider:
    """The machines of one lab as containers; ``key`` is the private one that they let in, below the lab's folder."""

    identity: Identity
    network: NetworkNamespace
    addresses: Mapping[str, str]
    key: Path = Path(keypair.FILE)
    lxc_path: Path = LXC_PATH
    name: str = "lxc"
    capabilities: frozenset[Capability] = field(default=frozenset({Capability.PAUSE}))

    def prepare(self, sink: LineSink) -> None:
        """Bring the namespace and its bridge into shape."""
        if self.network.ensure():
            sink(f"network namespace {self.network.name} with bridge and {self.network.host}")

    def enter(self) -> tuple[str, ...]:
        """The prefix into the lab's network."""
        return self.network.enter()

    def network_trouble(self) -> str:
        """That the namespace is gone, as after a restart of the host; "" while it is there."""
        if self.network.exists:
            return ""
        return "the lab's network is gone (was the host restarted?); ./inv resume makes it and switches the machines on"

    def up(self, nodes: Sequence[str], sink: LineSink) -> None:
        """Create and start the machines side by side; those that are frozen go on, those that run are left alone."""
        states = self.states()
        for node in nodes:
            if states[node] is MachineState.PAUSED:
                self.unpause(node)  # Vagrant takes it for one that boots, and waits minutes for its ssh
        wanted = [node for node in nodes if states[node] not in (MachineState.RUNNING, MachineState.PAUSED)]
        if not wanted:
            return
        for node in wanted:
            self._adopt(node, sink)
        # A Vagrant that outlived a killed ``up`` would go on making containers beside the next ``up`` or ``destroy``.
        prefix = contained(self.enter(), privileged=False)
        vagrant = LabVagrant(self.identity.state, prefix, environment(self.identity.state, self.name))
        with self._telling(wanted):
            vagrant.up_all(wanted, self.name, sink)

    def states(self) -> dict[str, MachineState]:
        """Each machine's state as LXC tells it."""
        if not self.network.exists:
            found: dict[str, MachineState] = {}
        else:
            listing = self._lxc("ls", "--fancy", "--fancy-format", "NAME,STATE").check().stdout
            rows = [line.split() for line in listing.splitlines()[1:] if line.strip()]
            found = {row[0]: _STATES.get(row[1], MachineState.UNKNOWN) for row in rows if len(row) > 1}
        return {node: found.get(self.identity.machine(node), self._state_on_disk(node)) for node in self.addresses}

    def ssh_config(self) -> str:
        """Known without asking: the addresses are the definition's, the key is the lab's."""
        hosts = [f"Host {node}\n  HostName {address}" for node, address in self.addresses.items()]
        return "\n".join([*hosts, ssh_defaults(self.identity.state / self.key)])

    def start(self, node: str) -> None:
        """Switch a stopped machine on."""
        with self._telling([node]):
            self._lxc("start", "--daemon", "--name", self.identity.machine(node)).check()

    def stop(self, node: str) -> None:
        """Shut a machine down in good order (it is never killed by this: see cut)."""
        name = self.identity.machine(node)
        self._lxc("stop", "--name", name, "--nokill", "--timeout", str(STOP_SECONDS), timeout=STOP_SECONDS + 10).check()

    def cut(self, node: str) -> None:
        """Kill every process of the machine at once."""
        self._lxc("stop", "--name", self.identity.machine(node), "--kill").check()

    def pause(self, node: str) -> None:
        """Freeze every process of the machine."""
        self._lxc("freeze", "--name", self.identity.machine(node)).check()

    def unpause(self, node: str) -> None:
        """Thaw the machine."""
        self._lxc("unfreeze", "--name", self.identity.machine(node)).check()

    def remove_all(self, sink: LineSink) -> list[str]:
        """Kill and remove every container of this lab, then its network."""
        people = self.network.entered()
        self._end_strays()
        for line in people:
            sink(f"ended {line}")
        removed: list[str] = []
        while containers := self._containers():  # again: a killed ``up`` may have been making one just now
            self.network.ensure()  # without the namespace LXC cannot be asked about what runs in it
            with workers(len(containers)) as pool:
                removed += pool.map(self._remove_container, containers)
        if self.network.remove():
            removed.append(f"network namespace {self.network.name}")
        notes = self.identity.state / ".vagrant"
        if notes.exists():
            shutil.rmtree(notes)
        for line in removed:
            sink(f"removed {line}")
        return removed

    def _end_strays(self) -> None:
        """End what a killed ``up`` left at work in the lab's network, such as an lxc-create that is filling a folder.

        LXC's monitors stay: without them nobody could tell LXC to kill their containers.
        """
        self.network.end([pid for pid in self.network.pids() if not _monitors(pid)])

    def _remove_container(self, folder: Path) -> str:
        """Kill one container and delete its folder; works on half-made ones too."""
        self._lxc("stop", "--name", folder.name, "--kill")  # fails when it does not run: the removal below judges
        stopped = self._lxc("wait", "--name", folder.name, "--state", "STOPPED", "--timeout", "10")
        stopped.check(f"{folder.name} still runs, so its files were not touched: try again")
        (folder / "config").unlink(missing_ok=True)  # first: what a kill leaves of the rest is no whole container
        shutil.rmtree(folder)
        (LOCKS / folder.relative_to("/").with_name(f".{folder.name}")).unlink(missing_ok=True)
        return f"container {folder.name}"

    def _containers(self) -> list[Path]:
        """The folders of this lab's containers: of the definition's nodes, and of nodes an earlier definition had."""
        return sorted(path for path in self.lxc_path.glob(f"{self.identity.prefix}-*") if path.is_dir())

    def _state_on_disk(self, node: str) -> MachineState:
        """A container that LXC did not list: absent, or there without its namespace (after a host's restart)."""
        present = (self.lxc_path / self.identity.machine(node) / "config").is_file()
        return MachineState.STOPPED if present else MachineState.ABSENT

    def _adopt(self, node: str, sink: LineSink) -> None:
        """Bring Vagrant's note of a container into agreement with what there is; one that is whole is never removed.

        LXC keeps the file "partial" in a container's folder until it is made. From then on it is whole for Vagrant too:
        network, mounts and host name are written into its configuration at each start (vagrant-lxc, driver.rb).
        """
        name = self.identity.machine(node)
        folder = self.lxc_path / name
        known = self.identity.state / ".vagrant" / "machines" / node / self.name / "id"
        if not folder.exists():
            return
        if (folder / "partial").exists() or not (folder / "config").is_file():
            sink(Note(f"{node}: removing the half-made container of an interrupted run"))
            self._remove_container(folder)
            known.unlink(missing_ok=True)
        elif not known.is_file() or known.read_text().strip() != name:
            what = "a machine that Vagrant does not know (its folder .vagrant was removed)"
            sink(Note(f"{node}: {what}: tell Vagrant of it"))
            known.parent.mkdir(parents=True, exist_ok=True)
            known.write_text(name)

    @contextmanager
    def _telling(self, nodes: Sequence[str]) -> Iterator[None]:
        """Have what LXC logs of these machines' start in the error of a command that starts them: it says nothing."""
        logs = [self.lxc_path / self.identity.machine(node) / LOG for node in nodes]
        for log in logs:
            log.unlink(missing_ok=True)
        try:
            yield
        except CommandError as error:
            said = "".join(log.read_text(errors="replace") for log in logs if log.is_file())
            raise type(error)(replace(error.result, stderr=error.result.stderr + said), error.hint) from error

    def _lxc(self, verb: str, *args: str, timeout: float = 60.0) -> Result:
        command = [f"lxc-{verb}", "--lxcpath", str(self.lxc_path), *args]
        return run([*self.enter(), *command], timeout=timeout, label=shown([f"lxc-{verb}", *args]))


def _monitors(pid: int) -> bool:
    """Is the process LXC's own, one that stands by a container? (LXC puts these into control groups of their own.)"""
    try:
        return "/lxc.monitor." in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False  # it has ended
