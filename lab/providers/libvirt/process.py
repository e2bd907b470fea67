"""A process that outlives the command that started it: found again by number *and* start time, so never mistaken."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

#: Seconds between two looks at a process that is asked to end: it may be our child, which must be reaped meanwhile.
POLL = 0.02


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
        for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
            if self._signal(number) and self._gone_within(seconds):
                return True
        return not self.alive

    def _signal(self, number: signal.Signals) -> bool:
        """Send a signal through a handle on this very process: between look and signal its number may be given away."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if self.alive:
                signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            pass  # it ended in this very moment: that is what was wanted
        finally:
            os.close(handle)
        return True

    def _gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.alive:
            _reap(self.pid)
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL)
        return True


def save(file: Path, process: Process) -> None:
    """Record a process; the record appears whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.new")
    unfinished.write_text(json.dumps({"pid": process.pid, "started": process.started}))
    unfinished.replace(file)


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
