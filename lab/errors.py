"""What can go wrong, and the exit status that each kind of failure gives.

An expected failure is raised as one of these types, so that the outermost layer can print it as a message (what failed,
where, what to do) instead of a traceback. Everything else that escapes is a fault of the program itself (status 70).
"""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses of every command (64 and 70 after BSD's sysexits.h, 130 as shells report SIGINT)."""

    GOOD = 0
    FAIL = 1
    UNKNOWN = 2
    USAGE = 64
    FAULT = 70
    INTERRUPTED = 130


class LabError(Exception):
    """An expected failure. ``message`` says what failed and where, ``hint`` what the reader can do about it.

    ``others`` are failures of what was done at the same time, to be told as well.
    """

    status: ExitStatus = ExitStatus.FAIL

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.others: list[LabError] = []

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(LabError):
    """Wrong arguments or a wrong definition: the person who typed it can mend it."""

    status = ExitStatus.USAGE
