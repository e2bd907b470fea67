"""One mistake in a definition, and the error that carries all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from lab.errors import UsageError


class Severity(StrEnum):
    """ERROR: the lab cannot work. WARNING: it works, but the reader should know what it will do."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """What is wrong with one field, and what would be right.

    ``path`` is the field as the definition spells it (``nodes[1].address``), "" the file as a whole; ``also`` are other
    fields that the judgement rests on; ``line`` counts from 1, 0 when the field does not stand in the file.
    """

    path: str
    wrong: str
    right: str = ""
    severity: Severity = Severity.ERROR
    also: tuple[str, ...] = ()
    line: int = 0

    def __str__(self) -> str:
        where = self.path or "(file)"
        if self.line:
            where += f" (line {self.line})"
        text = f"{where}: {self.wrong}"
        return f"{text}; right: {self.right}" if self.right else text


class DefinitionError(UsageError):
    """A definition with errors: all of them, in the order of the file."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        errors = [problem for problem in problems if problem.severity is Severity.ERROR]
        warnings = [problem for problem in problems if problem.severity is Severity.WARNING]
        count = f"{len(errors)} mistake{'s' if len(errors) != 1 else ''}"
        lines = [f"{source}: {count}", *(f"  {problem}" for problem in errors)]
        lines += [f"  warning: {problem}" for problem in warnings]
        super().__init__("\n".join(lines))


def touches(one: str, other: str) -> bool:
    """Is one path the other or within it? ``nodes`` touches ``nodes[1].name``, ``nodes[1]`` not ``nodes[10]``."""
    if not one or not other:
        return True
    short, long = sorted((one, other), key=len)
    return long == short or (long.startswith(short) and long[len(short)] in ".[")
