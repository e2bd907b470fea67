"""Locks between programs: a file that one of them has, and that the kernel gives back however that one ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lab.errors import LabError


def acquired(file: Path, seconds: float, busy: LabError) -> FileLock:
    """The lock, held: FileLock sees to it that the file which was locked still has its name.

    Raises ``busy`` where another program has had it for so many ``seconds``, FileNotFoundError where its folder
    goes meanwhile.
    """
    lock = FileLock(file)
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        raise busy from None
    return lock


@contextmanager
def locked(file: Path, seconds: float, busy: LabError) -> Iterator[None]:
    """Inside, the lock is held (see ``acquired``)."""
    lock = acquired(file, seconds, busy)
    try:
        yield
    finally:
        lock.release()
