"""A process that outlives the command that started it: found again by number *and* start time, so never mistaken."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path

from lab.host import files

#: Seconds until a killed process is gone: the kernel has its memory to give back first.
KILL_SECONDS = 5.0


@dataclass(frozen=True)
class Process:
    """``started`` is the kernel's start time in clock ticks since boot: a later process of that number differs."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process with this number, or None when there is none (a zombie counts as none)."""
        fields = _stat(pid)
        if fields is None or fields[0] in "ZX":
            return None
        return cls(pid, int(fields[19]))  # field 22 of proc(5), counted after pid and name

    @property
    def name(self) -> str:
        """The program's name, at most 15 characters of it; "" when it has ended."""
        try:
            return Path(f"/proc/{self.pid}/comm").read_text().strip() if self.alive else ""
        except (FileNotFoundError, ProcessLookupError):
            return ""

    @property
    def alive(self) -> bool:
        """Does exactly this process still run?"""
        return Process.of(self.pid) == self

    def end(self, grace: float) -> bool:
        """Ask it to end, and kill it when it has not after ``grace`` seconds. False when it did not run."""
        if not self.alive:
            return False
        try:
            # A handle on this very process: between a look and a signal its number may be given away.
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, KILL_SECONDS)):
                if not self.alive or self._ends_by(handle, number, seconds):
                    break
        finally:
            os.close(handle)
        _reap(self.pid)
        return not self.alive

    def _ends_by(self, handle: int, number: signal.Signals, seconds: float) -> bool:
        """Send a signal and wait for the end: a handle can be read from when its process has ended (pidfd_open(2))."""
        try:
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return True  # it ended in this very moment: that is what was wanted
        ended = select.poll()
        ended.register(handle, select.POLLIN)
        return bool(ended.poll(seconds * 1000))


def save(file: Path, process: Process) -> None:
    """Record a process; the record appears whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    files.write(file, json.dumps({"pid": process.pid, "started": process.started}))


def load(file: Path) -> Process | None:
    """The recorded process when it still runs, else None (also for a record that nobody can read)."""
    try:
        record = json.loads(file.read_text())
        process = Process(int(record["pid"]), int(record["started"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return process if process.alive else None


def _reap(pid: int) -> None:
    """Collect the process's exit status when it is our own child."""
    with contextlib.suppress(ChildProcessError):  # somebody else's child: its parent collects it
        os.waitpid(pid, os.WNOHANG)


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the program's name (which may contain anything)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
