"""A terminal of a test's own, and a program in it: keys are pressed, the window is closed, as a person does it."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import termios
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab.waiting import wait_for

CTRL_C = b"\x03"


class Terminal:
    """A window in which one program runs. What it shows is collected as it comes."""

    def __init__(self, argv: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        # Else Ctrl-C throws away what was written and not yet read, which no test could tell from what was never said.
        modes = termios.tcgetattr(slave)
        modes[3] |= termios.NOFLSH
        termios.tcsetattr(slave, termios.TCSANOW, modes)
        self._ended, self._end = os.pipe()
        self._shown = bytearray()
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *argv],  # it leads a session of its own, whose terminal this is
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env={**os.environ, "TERM": "dumb", "COLUMNS": "200", **env},
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """All that it has shown so far."""
        return self._shown.decode(errors="replace")

    def press(self, keys: bytes) -> None:
        """Type something."""
        os.write(self._master, keys)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program itself."""
        self.process.send_signal(number)

    def close(self) -> None:
        """Close the window: the kernel hangs up."""
        if self._end >= 0:
            os.close(self._end)
            self._end = -1
            self._reader.join()

    def shows(self, text: str, seconds: float = 20.0) -> None:
        """Wait until it has shown this."""
        wait_for(f"the terminal to show {text!r}", lambda: self.text, lambda seen: text in seen, seconds=seconds)

    def ends(self, seconds: float = 20.0) -> int:
        """Its exit status."""
        return self.process.wait(seconds)

    def _read(self) -> None:
        """Collect until the window is closed, then let go of it."""
        open_ends = [self._master, self._ended]
        while self._ended not in (ready := select.select(open_ends, [], [])[0]):
            try:
                self._shown += os.read(ready[0], 4096)
            except OSError:  # the program has closed its side
                open_ends.remove(self._master)
        os.close(self._master)
        os.close(self._ended)


@contextmanager
def terminal(argv: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> Iterator[Terminal]:
    """A program in a terminal; it does not outlive the with-block."""
    made = Terminal(argv, folder, env or {})
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
            made.process.wait()
        made.close()
