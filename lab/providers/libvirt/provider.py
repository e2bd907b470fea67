"""The machines of one lab as virtual machines: vagrant-libvirt creates them, libvirt itself does all the rest."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from lab import keypair
from lab.command import LineSink
from lab.contained import contained
from lab.errors import LabError
from lab.plan.virtual import Virtual
from lab.providers.base import Capability, Kept, MachineState
from lab.providers.libvirt import connection as virt
from lab.providers.libvirt import domains, leftovers, networks, snapshots, volumes
from lab.providers.libvirt.daemon import Daemon
from lab.providers.libvirt.leftovers import Notes
from lab.providers.libvirt.private import PrivateDaemon
from lab.providers.vagrant import WELL_KNOWN_KEY, LabVagrant, environment, ssh_defaults
from lab.quoting import proxy_command

#: Seconds (and missed signs of life) after which a connection to an emulated machine counts as dead.
PATIENCE = 30


@dataclass(frozen=True)
class BoxImage:
    """The image of a locally built box; machines' disks are layers on it."""

    name: str
    version: str
    file: Path


@dataclass(frozen=True)
class LibvirtProvider:
    """``nodes`` are all machines in the topology's order; ``box`` is None for a public box (Vagrant brings it)."""

    virtual: Virtual
    daemon: Daemon
    subnet: IPv4Network
    nodes: tuple[str, ...]
    box: BoxImage | None = None
    name: str = "libvirt"
    capabilities: frozenset[Capability] = field(default=frozenset({Capability.PAUSE, Capability.OWN_CLOCK}))

    def prepare(self, sink: LineSink) -> None:
        """Daemon, networks, storage pool, the box's image; and what an interrupted ``up`` left is mended."""
        self.daemon.ensure(sink)
        with virt.connect(self.daemon.uri) as connection:
            networks.ensure(connection, self.virtual, self.subnet, self.nodes, sink)
            pool = volumes.ensure_pool(connection)
            if self.box is not None:
                name = volumes.box_volume(self.box.name, self.box.version)
                volumes.place(pool, name, self.box.file, self._pool_folder(), sink)
            leftovers.mend(connection, self.virtual, self.nodes, self._notes(), sink)

    def enter(self) -> tuple[str, ...]:
        """The prefix into the lab's network; () on a system's libvirt, where the host is in it."""
        return self.daemon.enter

    def network_trouble(self) -> str:
        """Why nothing on this host can get into the lab's network, "" when it can."""
        if self.daemon.kind == "remote":
            return f"the lab's network lies on another host ({self.daemon.uri}); ./inv ssh works, through that host"
        return ""

    def up(self, nodes: Sequence[str], sink: LineSink) -> None:
        """Create what is missing through Vagrant, all at once; start or wake what exists directly."""
        with self._connection() as connection:
            found = domains.states(connection, self.virtual.identity.prefix)
            missing = [node for node in nodes if self.virtual.identity.machine(node) not in found]
            for node in nodes:
                if node not in missing:
                    domains.start(domains.lookup(connection, self.virtual.identity.machine(node)))
        if missing:
            state = self.virtual.identity.state
            # A Vagrant that outlived a killed ``up`` would hold its machines' locks against the next one.
            prefix = contained(self.enter(), privileged=False)
            vagrant = LabVagrant(state, prefix, environment(state, self.name))
            vagrant.up_all(missing, self.name, sink)

    def states(self) -> dict[str, MachineState]:
        """Each machine's state as libvirt tells it; while a private daemon is off, from its files. Starts nothing."""
        if not self.daemon.running():
            return {node: self._state_on_disk(node) for node in self.nodes}
        with virt.connect(self.daemon.uri) as connection:
            found = domains.states(connection, self.virtual.identity.prefix)
        return {node: found.get(self.virtual.identity.machine(node), MachineState.ABSENT) for node in self.nodes}

    def ssh_config(self) -> str:
        """Known without asking: the management network gives each machine the same address every time."""
        jump = self.daemon.ssh_jump()
        through = f"\n  ProxyCommand {proxy_command(jump)}" if jump else ""
        # In ssh_config the first value wins: an emulated machine on a busy host takes its time to shake hands.
        patience = f"\n  ConnectTimeout {PATIENCE}\n  ServerAliveCountMax {PATIENCE}" if self._emulated else ""
        hosts = [
            f"Host {node}\n  HostName {self.virtual.management_address(node)}{through}{patience}" for node in self.nodes
        ]
        return "\n".join([*hosts, ssh_defaults(*self._keys())])

    def start(self, node: str) -> None:
        """Switch a machine on."""
        with self._domain(node) as domain:
            domains.start(domain)

    def stop(self, node: str) -> None:
        """Push the machine's power button and wait until it is off."""
        with self._domain(node) as domain:
            domains.stop(domain)

    def cut(self, node: str) -> None:
        """Cut the machine's power."""
        with self._domain(node) as domain:
            domains.cut(domain)

    def pause(self, node: str) -> None:
        """Stop the machine's processors."""
        with self._domain(node) as domain:
            domains.pause(domain)

    def unpause(self, node: str) -> None:
        """Let the machine go on. Its clock stood still meanwhile: step it (clocks.step)."""
        with self._domain(node) as domain:
            domains.unpause(domain)

    def snapshot(self, name: str, node: str, sink: LineSink) -> None:
        """Keep one machine, or all at one moment. Their clocks stood still meanwhile: step them (clocks.step)."""
        with self._machines() as machines:
            snapshots.save(machines, name, sink, node)

    def restore(self, name: str, node: str, sink: LineSink) -> None:
        """Put one machine, or all, back. Their clocks show the snapshot's time then: step them (clocks.step)."""
        with self._machines() as machines:
            snapshots.restore(machines, name, sink, node)

    def snapshots(self) -> list[Kept]:
        """All that is kept, oldest first."""
        with self._machines() as machines:
            return snapshots.kept(machines)

    def remove_all(self, sink: LineSink) -> list[str]:
        """Remove every machine, disk, network and (a private) daemon of this lab, and Vagrant's notes of them."""
        if isinstance(self.daemon, PrivateDaemon):
            removed = self._purge_private(sink)
        else:
            removed = leftovers.purge_at(self.daemon, self.virtual.identity)
        people = self.daemon.network.entered() if isinstance(self.daemon, PrivateDaemon) else []
        removed += self.daemon.remove()
        for line in people:
            sink(f"ended {line}")
        notes = self._notes().folder
        if notes.exists():
            shutil.rmtree(notes)
            removed.append(f"folder {notes}")
        for line in removed:
            sink(f"removed {line}")
        return removed

    def _purge_private(self, sink: LineSink) -> list[str]:
        if not self.daemon.running():
            return []
        try:
            with virt.connect(self.daemon.uri) as connection:
                return leftovers.purge(connection, self.virtual.identity.prefix)
        except LabError as error:
            sink(f"{error.message}; ending it with all it runs")  # all of it is the lab's: nothing is lost
            return []

    @property
    def _emulated(self) -> bool:
        return self.virtual.driver == "qemu"

    def _notes(self) -> Notes:
        return Notes(self.virtual.identity.state / ".vagrant")

    def _keys(self) -> list[Path]:
        """The lab's own, and Vagrant's where a machine may know no other: of a public box before its first step."""
        own = [Path(keypair.FILE)] if self.virtual.ssh_key else []
        known = [WELL_KNOWN_KEY] if self.box is None or not own else []
        return [self.virtual.identity.state / key for key in own + known]

    def _pool_folder(self) -> Path | None:
        return self.daemon.images() if isinstance(self.daemon, PrivateDaemon) else None

    def _state_on_disk(self, node: str) -> MachineState:
        """A machine of a private daemon that does not run: it has a description, or is absent."""
        if not isinstance(self.daemon, PrivateDaemon):
            return MachineState.UNKNOWN
        description = self.daemon.folder / "etc" / "qemu" / f"{self.virtual.identity.machine(node)}.xml"
        return MachineState.STOPPED if description.is_file() else MachineState.ABSENT

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        self.daemon.ensure(lambda _line: None)
        with virt.connect(self.daemon.uri) as connection:
            yield connection

    @contextmanager
    def _domain(self, node: str) -> Iterator[Any]:
        with self._connection() as connection:
            yield domains.lookup(connection, self.virtual.identity.machine(node))

    @contextmanager
    def _machines(self) -> Iterator[dict[str, Any]]:
        """All machines that exist. Raises LabError when none does."""
        with self._connection() as connection:
            machines = dict(leftovers.by_node(connection, self.virtual, self.nodes))
            yield machines
