"""The history of a run: append-only lines of what was done and seen, written as it happens.

Every record holds ``case``, ``source`` (the machine that saw it, "lab" for this program), ``kind``, ``t`` (by the
source's own clock) and ``r`` (when it arrived here, by this host's clock), both in seconds since the epoch. Nothing is
ever changed or judged here; what the kinds mean is said where they are read (recorded.py).
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab.errors import LabError
from lab.interrupts import waiting

Record = Mapping[str, Any]

#: The source of what this program itself does and sees.
LAB = "lab"


class History:
    """Writes records and lets others wait for them. May be written to from several threads."""

    def __init__(self, path: Path) -> None:
        self._changed = threading.Condition()
        self._records: list[Record] = []
        self._case = ""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def begin(self, case: str) -> None:
        """From now on records belong to this case."""
        with self._changed:
            self._case = case
            self._records = []

    def tag(self) -> str:
        """A short name for what is made now, unlike any before."""
        return uuid.uuid4().hex[:8]

    def add(self, kind: str, *, source: str = LAB, t: float | None = None, **fields: object) -> Record:
        """Append one record; ``t`` defaults to now."""
        now = time.time()
        record: dict[str, Any] = {"t": now if t is None else t, "r": now, "source": source, "kind": kind, **fields}
        with self._changed:
            record["case"] = self._case
            if self._file.closed:
                return record  # a probe's last words after the end of the run
            self._file.write(json.dumps(record, separators=(",", ":")) + "\n")
            self._records.append(record)
            self._changed.notify_all()
        return record

    def hear(self, source: str, line: str) -> None:
        """Append what a program on a machine printed; a line that is no record is kept as a note."""
        try:
            said = json.loads(line)
            fields = {str(key): value for key, value in said.items() if key not in ("kind", "t", "source", "r", "case")}
            kind, moment = str(said["kind"]), float(said["t"])
        except (ValueError, KeyError, TypeError, AttributeError):
            self.add("note", source=source, text=line)
            return
        self.add(kind, source=source, t=moment, **fields)

    def records(self) -> list[Record]:
        """The current case's records so far."""
        with self._changed:
            return list(self._records)

    def wait(self, until: Callable[[list[Record]], bool], seconds: float) -> bool:
        """Wait until the current case's records satisfy a condition; False when ``seconds`` went by without it."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not until(self._records):
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                with waiting():
                    self._changed.wait(left)
            return True


def load(path: Path) -> dict[str, list[Record]]:
    """A run's records by case, in the order the cases were run.

    A last line cut short by a kill is left out; any other line that is no record raises LabError.
    """
    cases: dict[str, list[Record]] = {}
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            cases.setdefault(record["case"], []).append(record)
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines) and not line.endswith("\n"):
                break
            raise LabError(f"{path}:{number}: not a record of a history ({error})", "was the file edited?") from error
    return cases
