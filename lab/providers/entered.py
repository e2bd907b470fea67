"""What people run in a lab's network through ``./inv enter``: known by what it was given in its environment."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

#: Holds the lab's name in the environment of what ``./inv enter`` becomes, and so of all that is started there.
VARIABLE = "HALAB"


def entered(pids: Iterable[int]) -> list[str]:
    """Those of the processes that ``./inv enter`` became, without their children, as a person knows them."""
    marked = [pid for pid in pids if _is_marked(pid)]
    return [_told(pid) for pid in marked if _parent(pid) not in marked]


def _is_marked(pid: int) -> bool:
    entries = _read(pid, "environ").split(b"\0")
    return any(entry.startswith(f"{VARIABLE}=".encode()) and not entry.endswith(b"=") for entry in entries)


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
    return f"{name} of ./inv enter (process {pid}{terminal})"


def _read(pid: int, file: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""  # it has ended
