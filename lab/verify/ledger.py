"""The faults that are open: written down before they begin, struck out when they are healed.

So a fault outlives even a SIGKILL of this program only until the next command, which heals it first.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.command import LineSink
from lab.errors import LabError
from lab.verify.faults import Fault, make
from lab.verify.history import History
from lab.verify.view import LabView


@dataclass(frozen=True)
class Entry:
    """One open fault."""

    id: str
    name: str
    node: str


@dataclass(frozen=True)
class Ledger:
    """The file of open faults of one lab."""

    path: Path

    @classmethod
    def of(cls, view: LabView) -> Ledger:
        """The ledger of a lab."""
        return cls(view.state / "faults.json")

    def entries(self) -> list[Entry]:
        """The open faults in the order they were opened. Raises LabError when the file is no ledger."""
        try:
            return [Entry(**entry) for entry in json.loads(self.path.read_text(encoding="utf-8"))]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError) as error:
            hint = "heal by hand what it names, then remove the file"
            raise LabError(f"{self.path}: not a list of open faults ({error})", hint) from error

    def open(self, fault: Fault) -> Entry:
        """Write a fault down. It is on disk when this returns."""
        entry = Entry(uuid.uuid4().hex[:12], fault.name, fault.node)
        self._write([*self.entries(), entry])
        return entry

    def close(self, entry: Entry) -> None:
        """Strike a fault out."""
        self._write([other for other in self.entries() if other.id != entry.id])

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


@contextmanager
def applied(fault: Fault, view: LabView, history: History) -> Iterator[None]:
    """The fault lasts as long as the with-block, and is healed whatever happens in it, Ctrl-C included.

    What cannot be healed stays in the ledger, for the next command. Raises LabError when making or healing fails.
    """
    ledger = Ledger.of(view)
    entry = ledger.open(fault)
    about: dict[str, Any] = {"id": entry.id, "name": fault.name, "node": fault.node, "silences": fault.silences}
    try:
        fault.prepare(view)
        history.add("fault", event="begin", **about)
        moment = fault.begin(view)
        if moment is None:
            history.add("fault", event="begun", **about)
        else:
            history.add("fault", event="begun", source=fault.node, t=moment, **about)
        yield
    finally:
        history.add("fault", event="heal", **about)
        fault.heal(view)
        history.add("fault", event="healed", **about)
        ledger.close(entry)


@contextmanager
def pods(view: LabView, node: str) -> Iterator[None]:
    """What is created inside the with-block by provision/probe/api.py is deleted at its end, whatever happens in it.

    ``node`` is the master that deletes it. Raises LabError when that fails; it then stays in the ledger.
    """
    ledger = Ledger.of(view)
    litter = make("test-pods", node)
    entry = ledger.open(litter)
    try:
        yield
    finally:
        litter.heal(view)
        ledger.close(entry)


#: What only a cluster that answers can heal.
NEEDS_CLUSTER = frozenset({"test-pods"})


def heal_open(view: LabView, sink: LineSink, *, cluster: bool = True) -> list[str]:
    """Heal every fault that an earlier, killed command left open; returns what was healed, in words.

    With ``cluster`` false those stay open for later that need a cluster that answers.
    Every fault is tried even when another cannot be healed; then raises LabError with all that stayed open.
    """
    ledger = Ledger.of(view)
    healed, errors = [], []
    entries = [entry for entry in ledger.entries() if cluster or entry.name not in NEEDS_CLUSTER]
    for entry in entries:
        said = f"{entry.name} on {entry.node}"
        sink(f"healing a fault that an earlier command left open: {said}")
        try:
            make(entry.name, entry.node).heal(view)
        except LabError as error:
            errors.append(f"{said}: {error.message}")
            continue
        ledger.close(entry)
        healed.append(said)
    if errors:
        hint = f"./inv destroy forgets them; the list is {ledger.path}"
        raise LabError("faults of an earlier command are still open:\n" + "\n".join(errors), hint)
    return healed
