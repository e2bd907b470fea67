"""What people run in a lab's network by ``./inv enter`` and ``kubectl``: known by what its environment was given."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

#: Holds the lab's name in the environment of what these commands become, and so of all that is started there.
VARIABLE = "HALAB"

#: Holds which of the commands it was.
COMMAND = "HALAB_COMMAND"


def mark(lab: str, command: str) -> dict[str, str]:
    """What the environment is given."""
    return {VARIABLE: lab, COMMAND: command}


def entered(pids: Iterable[int]) -> list[str]:
    """Those of the processes that these commands became, without their children, as a person knows them."""
    marked = [pid for pid in pids if _given(pid, VARIABLE)]
    return [_told(pid) for pid in marked if _parent(pid) not in marked]


def _given(pid: int, variable: str) -> str:
    """A variable of a process's environment, "" without."""
    entries = (entry.partition("=") for entry in _read(pid, "environ").decode(errors="replace").split("\0"))
    return next((value for name, _, value in entries if name == variable), "")


def _parent(pid: int) -> int:
    """The parent's number (proc(5), field 4 of stat, counted behind the name); 0 of one that has ended."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def _told(pid: int) -> str:
    """Such as "bash of ./inv enter (process 1234, /dev/pts/3)"."""
    name = _read(pid, "comm").decode(errors="replace").strip()
    try:
        place = str(Path(f"/proc/{pid}/fd/0").readlink())
    except OSError:
        place = ""
    terminal = f", {place}" if place.startswith(("/dev/pts/", "/dev/tty")) else ""
    command = _given(pid, COMMAND) or "enter"  # one of an earlier version marked no other
    return f"{name} of ./inv {command} (process {pid}{terminal})"


def _read(pid: int, file: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""  # it has ended
