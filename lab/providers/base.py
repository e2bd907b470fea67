"""What every provider of machines can do, and what only some can.

A provider knows machines and the network they hang on, and nothing of what runs inside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from lab.command import LineSink


class MachineState(StrEnum):
    """A machine's state as its own hypervisor or container runtime tells it, without asking Vagrant."""

    ABSENT = "absent"
    STOPPED = "stopped"
    RUNNING = "running"
    PAUSED = "paused"
    SAVED = "saved"
    UNKNOWN = "unknown"


#: States in which a machine's memory is kept and its time stands still.
STOOD_STILL = frozenset({MachineState.PAUSED, MachineState.SAVED})


class Capability(StrEnum):
    """What not every provider can do."""

    PAUSE = "pause"
    #: Machines have clocks of their own, which stand still while a machine is paused. (Containers have the host's.)
    OWN_CLOCK = "own-clock"


class Provider(Protocol):
    """Machines of one lab. Every method may be called again after an interruption; none relies on an earlier call."""

    @property
    def name(self) -> str:
        """Its word on the command line and for Vagrant."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What it can do beyond what every provider can."""

    def prepare(self, sink: LineSink) -> None:
        """Bring the lab's network (and daemon, where there is an own one) into shape; changes nothing when it is."""

    def enter(self) -> tuple[str, ...]:
        """The command prefix that puts a command into the lab's network, () where the host is in it."""

    def network_trouble(self) -> str:
        """Why no command on this host can get into the lab's network, "" when it can."""

    def ssh_config(self) -> str:
        """The text of an ssh configuration with one Host a machine that runs (see ssh_config(5))."""

    def up(self, nodes: Sequence[str], sink: LineSink) -> None:
        """Create, start or let go on the machines, all at once; those that run are left alone. Raises CommandError."""

    def states(self) -> dict[str, MachineState]:
        """The state of every machine of the definition; never calls vagrant."""

    def start(self, node: str) -> None:
        """Switch a stopped machine on."""

    def stop(self, node: str) -> None:
        """Shut a machine down in good order."""

    def cut(self, node: str) -> None:
        """Cut a machine's power: nothing inside gets a chance to say goodbye."""

    def pause(self, node: str) -> None:
        """Stop a machine's processors; its memory stays."""

    def unpause(self, node: str) -> None:
        """Let a paused machine go on."""

    def remove_all(self, sink: LineSink) -> list[str]:
        """Remove everything of this lab from the host; returns what was removed, in words. Nothing there: no error."""


@dataclass(frozen=True)
class Kept:
    """One moment that is kept under a name, and the machines it is kept of; ``whole`` says that these are all."""

    name: str
    nodes: tuple[str, ...]
    whole: bool


@runtime_checkable
class Snapshots(Protocol):
    """What a provider of virtual machines can do besides. A snapshot is of memory and disks.

    ``node`` is the machine that it is of, "" for the whole lab.
    """

    def snapshot(self, name: str, node: str, sink: LineSink) -> None:
        """Keep machines as they are at one moment. Their clocks stand still meanwhile."""

    def restore(self, name: str, node: str, sink: LineSink) -> None:
        """Put machines back. Their clocks show the snapshot's time then."""

    def snapshots(self) -> list[Kept]:
        """All that is kept, of the whole lab and of single machines, oldest first."""
