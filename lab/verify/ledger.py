"""The faults that are open: written down before they begin, struck out when they are healed.

So a fault outlives even a SIGKILL of this program only until the next command, which heals it first.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.command import LineSink
from lab.errors import LabError
from lab.faults.spec import Fault as Spec
from lab.interrupts import Open, held, unbroken
from lab.state import State
from lab.verify import records
from lab.verify.faults import TEST_PODS, Fault, make
from lab.verify.history import History
from lab.verify.view import LabView

#: The ledger in the lab's folder.
FILE = "faults.json"

#: What only a cluster that answers can heal: litter, which does no harm meanwhile.
NEEDS_CLUSTER = frozenset({TEST_PODS})

#: How a fault is healed that its own command left open.
LATER = "the next ./inv up, verify, resume or bench failover heals it first"

#: How a lab gets its own load balancer back that an interrupted bench left another one.
RETURNS = "./inv up gives the lab its own back"


@dataclass(frozen=True)
class Entry:
    """One open fault."""

    id: str
    name: str
    node: str

    def __str__(self) -> str:
        return f"{self.name} on {self.node}"


@dataclass(frozen=True)
class Ledger:
    """The file of open faults of one lab."""

    path: Path

    @classmethod
    def of(cls, view: LabView) -> Ledger:
        """The ledger of a lab."""
        return cls(view.state / FILE)

    def entries(self) -> list[Entry]:
        """The open faults in the order they were opened. Raises LabError when the file is no ledger."""
        try:
            return [Entry(**entry) for entry in json.loads(self.path.read_text(encoding="utf-8"))]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError) as error:
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
        return [Open(str(entry), LATER) for entry in entries if litter or entry.name not in NEEDS_CLUSTER]

    def open(self, fault: Fault) -> Entry:
        """Write a fault down. It is on disk when this returns."""
        entry = Entry(uuid.uuid4().hex[:12], fault.name, fault.node)
        self._write([*self.entries(), entry])
        return entry

    def close(self, entry: Entry) -> None:
        """Strike a fault out."""
        self._write([other for other in self.entries() if other.id != entry.id])

    def forget(self, nodes: Collection[str]) -> list[Entry]:
        """Strike out what was done to machines that are no more, and return it. (Litter lies in the cluster.)"""
        gone = [entry for entry in self.entries() if entry.node in nodes and entry.name not in NEEDS_CLUSTER]
        if gone:
            self._write([entry for entry in self.entries() if entry not in gone])
        return gone

    def _write(self, entries: list[Entry]) -> None:
        if not entries:
            self.path.unlink(missing_ok=True)
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".new")
        with beside.open("w", encoding="utf-8") as file:
            json.dump([vars(entry) for entry in entries], file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)


def still_open(state: State, *, litter: bool = True) -> list[Open]:
    """All that a lab has of some command's doing and should not have: faults, and another's load balancer."""
    borrowed = [Open(f"the load balancer of {state.borrowed}", RETURNS)] if state.borrowed else []
    return [*Ledger(state.folder / FILE).still_open(litter=litter), *borrowed]


@contextmanager
def applied(fault: Fault, view: LabView, history: History) -> Iterator[None]:
    """The fault lasts as long as the with-block, and is healed whatever happens in it.

    An interrupt is raised where the block waits, and neither while the fault is made nor while it is healed. What
    cannot be healed stays in the ledger, for the next command. Raises LabError when making or healing fails.
    """
    ledger = Ledger.of(view)
    with held(ledger.still_open):
        entry = ledger.open(fault)
        spec = Spec(fault.name, (fault.node,))

        def told(event: records.FaultEvent, **when: Any) -> None:
            step = records.FaultStep(event=event, id=entry.id, fault=spec, silences=fault.silences, **when)
            history.add(step)

        try:
            with unbroken():
                fault.prepare(view)
                told("begin")
                moment = fault.begin(view)
                told("begun", **({} if moment is None else {"source": fault.node, "t": moment}))
            yield
        finally:
            with unbroken():
                try:
                    told("heal")
                finally:  # a disk that is full is no reason to leave the lab broken
                    _heal(fault, view)
                    ledger.close(entry)
                told("healed")


def _heal(fault: Fault, view: LabView) -> None:
    """Heal it, or raise LabError that names fault and machine and says what to do."""
    try:
        fault.heal(view)
    except (LabError, OSError) as error:
        why = error.message if isinstance(error, LabError) else str(error)
        raise LabError(
            f"{fault.name} on {fault.node} could not be healed: {why}",
            f"{LATER}; to look at {fault.node}: ./inv ssh {fault.node}; ./inv destroy forgets it",
        ) from error


@contextmanager
def pods(view: LabView, node: str) -> Iterator[None]:
    """What is created inside the with-block by provision/probe/api.py is deleted at its end, whatever happens in it.

    ``node`` is the master that deletes it. Raises LabError when that fails; it then stays in the ledger.
    """
    ledger = Ledger.of(view)
    litter = make(TEST_PODS, node)
    with held(ledger.still_open):
        entry = ledger.open(litter)
        try:
            yield
        finally:
            with unbroken():
                _heal(litter, view)
                ledger.close(entry)


def heal_open(view: LabView, sink: LineSink, *, cluster: bool = True) -> list[str]:
    """Heal every fault that an earlier, killed command left open; returns what was healed, in words.

    With ``cluster`` false those stay open for later that need a cluster that answers.
    Every fault is tried even when another cannot be healed; then raises LabError with all that stayed open. Interrupts
    wait until all were tried.
    """
    ledger = Ledger.of(view)
    healed, errors = [], []
    entries = [entry for entry in ledger.entries() if cluster or entry.name not in NEEDS_CLUSTER]
    with held(ledger.still_open), unbroken():
        for entry in entries:
            sink(f"healing a fault that an earlier command left open: {entry}")
            try:
                _heal(make(entry.name, entry.node), view)
            except LabError as error:
                errors.append(error.message)
                continue
            ledger.close(entry)
            healed.append(str(entry))
        if errors:
            hint = f"./inv destroy forgets them; the list is {ledger.path}"
            raise LabError("faults of an earlier command are still open:\n" + "\n".join(errors), hint)
    return healed
