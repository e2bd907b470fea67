"""The history of a run: append-only lines of what was done and seen (records.py), written as it happens.

Nothing is ever changed or judged here.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast

from lab.errors import LabError
from lab.interrupts import waiting
from lab.verify import older, records
from lab.verify.records import FORM, Part, Record

Kind = TypeVar("Kind", bound=Record)
Told = TypeVar("Told")


class Records:
    """The records of one part, in the order in which they arrived, by kind and by source.

    What is asked of them while they become more costs the same however many there are.
    """

    def __init__(self, given: Iterable[Record] = ()) -> None:
        self.first: Record | None = None
        self.last: Record | None = None
        self._kinds: dict[type[Record], list[Record]] = {}
        self._latest: dict[type[Record], dict[str, Record]] = {}
        for record in given:
            self.add(record)

    def add(self, record: Record) -> None:
        """One more."""
        self.first = self.first or record
        self.last = record
        self._kinds.setdefault(type(record), []).append(record)
        self._latest.setdefault(type(record), {})[record.source] = record

    def of(self, kind: type[Kind]) -> Sequence[Kind]:
        """All of one kind."""
        return cast("Sequence[Kind]", self._kinds.get(kind, ()))

    def latest(self, kind: type[Kind]) -> Mapping[str, Kind]:
        """The last one of a kind from each source that has told any."""
        return cast("Mapping[str, Kind]", self._latest.get(kind, {}))

    def copy(self) -> Records:
        """As they are now."""
        made = Records()
        made.first, made.last = self.first, self.last
        made._kinds = {kind: list(found) for kind, found in self._kinds.items()}
        made._latest = {kind: dict(found) for kind, found in self._latest.items()}
        return made


class History:
    """Writes records and lets others wait for them. May be written to from several threads."""

    def __init__(self, path: Path) -> None:
        self._changed = threading.Condition()
        self._records = Records()
        self._part: dict[str, object] = {"case": "", "round": 0}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def begin(self, part: Part) -> None:
        """From now on records belong to this part."""
        with self._changed:
            self._part = {"case": part.case, "round": part.round}
            self._records = Records()

    def add(self, record: Record) -> None:
        """Append one record."""
        with self._changed:
            if self._file.closed:
                return  # a probe's last words after the end of the run
            line = json.dumps({**record.model_dump(), **self._part}, separators=(",", ":"))
            self._file.write(line + "\n")
            self._records.add(record)
            self._changed.notify_all()

    def hear(self, source: str, line: str) -> None:
        """Append what a program on a machine printed."""
        self.add(records.heard(source, line))

    def look(self, read: Callable[[Records], Told]) -> Told:
        """What the current part's records so far tell; ``read`` must not keep them."""
        with self._changed:
            return read(self._records)

    def wait(self, until: Callable[[Records], bool], seconds: float) -> bool:
        """Wait until the current part's records satisfy a condition; False when ``seconds`` went by without it.

        The condition is asked at every record: it must not go through all of them.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while not until(self._records):
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                with waiting():
                    self._changed.wait(left)
            return True


def load(path: Path) -> dict[Part, Records]:
    """A run's records by part, in the order in which the parts were run.

    A last line cut short by a kill is left out; any other line that is no record raises LabError, and so does a history
    of a form that is newer than this program.
    """
    parts: dict[Part, Records] = {}
    forms: dict[Part, int] = {}
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        try:
            data = json.loads(line)
            part = Part(data["case"], data["round"]) if "round" in data else older.part(data["case"])
            form = forms.setdefault(part, int(data.get("form", 0)))
            if form <= FORM:
                record = records.read(data if form else older.upgraded(data))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if number == len(lines) and not line.endswith("\n"):
                break
            raise LabError(f"{path}:{number}: not a record of a history ({error})", "was the file edited?") from error
        if form > FORM:
            raise LabError(
                f"{path} has form {form} of histories, and this program knows forms 0 to {FORM}",
                "a newer version of it wrote the file, and reads it",
            )
        parts.setdefault(part, Records()).add(record)
    return parts
