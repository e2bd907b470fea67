"""The faults that are open: written down whole before they begin, struck out when they are healed.

So a fault outlives even a SIGKILL of this program only until the next command, which heals it first.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from lab.command import LineSink, Note
from lab.errors import LabError
from lab.faults.hands import MachineHands, Machines
from lab.faults.kinds import KINDS, kind_of
from lab.faults.spec import Fault
from lab.host import files
from lab.interrupts import Open, held, unbroken
from lab.state import State

#: The ledger in the lab's folder.
FILE = "faults.json"

#: How a fault is healed that its own command left open.
LATER = "the next ./inv up, verify, resume or bench failover heals it first"

#: How a lab gets its own load balancer back that an interrupted bench left another one.
RETURNS = "./inv up gives the lab its own back"


class Lab(Machines, Protocol):
    """A lab that has a folder."""

    @property
    def state(self) -> State:
        """Where the ledger lies."""


@dataclass(frozen=True)
class Entry:
    """One open fault."""

    id: str
    fault: Fault

    @property
    def litter(self) -> bool:
        """Does it no harm, so that it may wait for a cluster that answers?"""
        kind = KINDS.get(self.fault.kind)
        return kind is not None and kind.litter

    def __str__(self) -> str:
        return str(self.fault)


@dataclass(frozen=True)
class Step:
    """A fault comes a step further: for who records it.

    ``begun`` comes for each of ``node``s that tell the ``moment``, by their own clocks in seconds since the epoch; else
    once, with neither.
    """

    id: str
    fault: Fault
    event: Literal["begin", "begun", "heal", "healed"]
    node: str = ""
    moment: float | None = None


@dataclass(frozen=True)
class Ledger:
    """The file of open faults of one lab."""

    path: Path

    @classmethod
    def of(cls, state: State) -> Ledger:
        """The ledger of a lab."""
        return cls(state.folder / FILE)

    def entries(self) -> list[Entry]:
        """The open faults in the order they were opened. Raises LabError when the file is no ledger."""
        try:
            return [_entry(data) for data in json.loads(self.path.read_text(encoding="utf-8"))]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError, KeyError) as error:
            hint = "heal by hand what it names, then remove the file"
            raise LabError(f"{self.path}: not a list of open faults ({error})", hint) from error

    def still_open(self, *, litter: bool = True) -> list[Open]:
        """The open faults, each with how it will be healed; a file that is no ledger is told as one more.

        Without ``litter`` only what does harm.
        """
        try:
            entries = self.entries()
        except LabError as error:
            return [Open(error.message, error.hint)]
        return [Open(str(entry), LATER) for entry in entries if litter or not entry.litter]

    def open(self, fault: Fault) -> Entry:
        """Write a fault down. It is on disk when this returns."""
        entry = Entry(uuid.uuid4().hex[:12], fault)
        self._write([*self.entries(), entry])
        return entry

    def close(self, entry: Entry) -> None:
        """Strike a fault out."""
        self._write([other for other in self.entries() if other.id != entry.id])

    def forget(self, nodes: Collection[str]) -> list[Entry]:
        """Strike out what was done to machines that are no more, and return it. (Litter lies in the cluster.)"""
        kept, gone = [], []
        for entry in self.entries():
            lost = () if entry.litter else tuple(node for node in entry.fault.targets if node in nodes)
            left = tuple(node for node in entry.fault.targets if node not in lost)
            if left:
                kept.append(replace(entry, fault=replace(entry.fault, targets=left)))
            if lost:
                gone.append(replace(entry, fault=replace(entry.fault, targets=lost)))
        if gone:
            self._write(kept)
        return gone

    def _write(self, entries: list[Entry]) -> None:
        if not entries:
            self.path.unlink(missing_ok=True)
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        written = [{"id": entry.id, **asdict(entry.fault)} for entry in entries]
        files.write(self.path, json.dumps(written, indent=1), durable=True)


def _entry(data: dict[str, Any]) -> Entry:
    """An entry as it was written, also by a program whose faults had one machine and no parameters."""
    if "node" in data:
        return Entry(data["id"], Fault(data["name"], (data["node"],)))
    return Entry(data["id"], Fault(data["kind"], tuple(data["targets"]), data["parameters"]))


def still_open(state: State, *, litter: bool = True) -> list[Open]:
    """All that a lab has of some command's doing and should not have: faults, and another's load balancer."""
    borrowed = [Open(f"the load balancer of {state.borrowed}", RETURNS)] if state.borrowed else []
    return [*Ledger.of(state).still_open(litter=litter), *borrowed]


@contextmanager
def applied(fault: Fault, lab: Lab, tell: Callable[[Step], object] = lambda step: None) -> Iterator[None]:
    """The fault lasts as long as the with-block, and is healed whatever happens in it.

    An interrupt is raised where the block waits, and neither while the fault is made nor while it is healed. What
    cannot be healed stays in the ledger, for the next command. Raises LabError when making or healing fails.
    """
    kind, hands, ledger = kind_of(fault.kind), MachineHands(lab), Ledger.of(lab.state)
    with held(ledger.still_open):
        entry = ledger.open(fault)
        try:
            with unbroken():
                kind.prepare(hands, fault)
                tell(Step(entry.id, fault, "begin"))
                moments = kind.begin(hands, fault)
                for node, moment in moments.items():
                    tell(Step(entry.id, fault, "begun", node, moment))
                if not moments:
                    tell(Step(entry.id, fault, "begun"))
            yield
        finally:
            with unbroken():
                try:
                    tell(Step(entry.id, fault, "heal"))
                finally:  # a disk that is full is no reason to leave the lab broken
                    _heal(fault, lab)
                    ledger.close(entry)
                tell(Step(entry.id, fault, "healed"))


def _heal(fault: Fault, lab: Machines) -> None:
    """Heal it, or raise LabError that names fault and machine and says what to do."""
    try:
        kind_of(fault.kind).heal(MachineHands(lab), fault)
    except (LabError, OSError) as error:
        why = error.message if isinstance(error, LabError) else str(error)
        node = fault.targets[0]
        raise LabError(
            f"{fault} could not be healed: {why}",
            f"{LATER}; to look at {node}: ./inv ssh {node}; ./inv destroy forgets it",
        ) from error


def heal_open(lab: Lab, sink: LineSink) -> list[str]:
    """Heal every fault that an earlier, killed command left open; returns what was healed, in words.

    Every fault is tried even when another cannot be healed; then raises LabError with all that stayed open. Interrupts
    wait until all were tried.
    """
    return _heal_each(Ledger.of(lab.state).entries(), lab, sink)


def heal_machines(lab: Lab, sink: LineSink) -> list[str]:
    """The same, without what only a cluster that answers can be rid of: with such a fault it may never answer."""
    return _heal_each([entry for entry in Ledger.of(lab.state).entries() if not entry.litter], lab, sink)


def _heal_each(entries: Sequence[Entry], lab: Lab, sink: LineSink) -> list[str]:
    ledger = Ledger.of(lab.state)
    healed, errors = [], []
    with held(ledger.still_open), unbroken():
        for entry in entries:
            sink(Note(f"healing a fault that an earlier command left open: {entry}"))
            try:
                _heal(entry.fault, lab)
            except LabError as error:
                errors.append(error.message)
                continue
            ledger.close(entry)
            healed.append(str(entry))
        if errors:
            hint = f"./inv destroy forgets them; the list is {ledger.path}"
            raise LabError("faults of an earlier command are still open:\n" + "\n".join(errors), hint)
    return healed
