"""The program as a person uses it: ./inv in a process of its own, its output and its exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from lab.identity import Identity
from lab.waiting import wait_for

FOLDER = Path(__file__).resolve().parents[2]

#: In the environment of everything that these tests start, so that what outlives its lab is recognised (see hosts.py).
MARK = "HALAB_TEST_OF"

Seen = TypeVar("Seen")


@dataclass(frozen=True)
class Done:
    """A command that ended. ``seconds`` is how long it took."""

    command: str
    status: int
    out: str
    err: str
    seconds: float

    def expect(self, status: int = 0) -> Done:
        """Itself, when it ended with this exit status; else the test fails and shows all that was said."""
        assert self.status == status, f"{self}\nexpected exit status {status}"
        return self

    def json(self) -> Any:
        """What it printed, as data."""
        return json.loads(self.out)

    def __str__(self) -> str:
        return f"{self.command}: exit status {self.status} after {self.seconds:.1f} s\n{self.out}\n{self.err}"


@dataclass
class Running:
    """A command that was started and may be ended at any moment."""

    command: str
    process: subprocess.Popen[bytes]
    files: tuple[Path, Path]
    started: float = field(default_factory=time.monotonic)

    @property
    def out(self) -> str:
        """What it has said so far."""
        return self.files[0].read_bytes().decode(errors="replace")

    def wait(self, seconds: float) -> Done:
        """Wait for its end; one that does not end in time is killed with all that it started, and the test fails."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            late = Done(self.command, -1, self.out, self.files[1].read_bytes().decode(errors="replace"), seconds)
            raise AssertionError(f"no end within {seconds:.0f} s: {late}") from None
        took = time.monotonic() - self.started
        return Done(self.command, status, self.out, self.files[1].read_bytes().decode(errors="replace"), took)

    def signal(self, number: signal.Signals) -> None:
        """What a crash (SIGKILL) or a Ctrl-C (SIGINT) does to the program itself (its commands have own groups)."""
        self.process.send_signal(number)


@dataclass(frozen=True)
class Inv:
    """``./inv`` of a clone, for one lab. ``definition`` is given to up and plan, which alone read one.

    ``enter`` is the prefix that runs a command on another host (see freshhost.py), where ``folder`` lies then.
    """

    lab: str
    folder: Path = FOLDER
    definition: Path | None = None
    mark: str = "e2e"
    enter: tuple[str, ...] = ()

    def __call__(
        self,
        command: str,
        *words: str,
        seconds: float = 120.0,
        status: int | None = 0,
        stdin: str = "",
        lab: bool = True,
    ) -> Done:
        """Run one command to its end; ``status`` is the expected exit status, None when the caller judges.

        Without ``lab`` the lab is not named: for commands that are about all of them.
        """
        with self.start(command, *words, stdin=stdin, lab=lab) as running:
            done = running.wait(seconds)
        return done if status is None else done.expect(status)

    @contextmanager
    def start(self, command: str, *words: str, stdin: str = "", lab: bool = True) -> Iterator[Running]:
        """Start one command; it does not outlive the with-block.

        Its output goes into files: what stays in the background must not keep the test waiting for the end of a pipe.
        """
        own = [str(self.folder / "inv"), *(self.argv(command, *words) if lab else (command, *words))]
        with tempfile.TemporaryDirectory() as place:
            files = Path(place) / "out", Path(place) / "err"
            (Path(place) / "in").write_text(stdin)
            with files[0].open("wb") as out, files[1].open("wb") as err, (Path(place) / "in").open("rb") as into:
                process = subprocess.Popen(
                    [*self.enter, *own],
                    stdin=into,
                    stdout=out,
                    stderr=err,
                    env=self.environment(),
                    start_new_session=True,
                )
            running = Running(f"./inv {' '.join(own[1:])}", process, files)
            try:
                yield running
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def argv(self, command: str, *words: str) -> list[str]:
        """The words behind ./inv."""
        own = ["--lab", self.lab]
        if self.definition is not None and command in ("up", "plan"):
            own += ["--definition", str(self.definition)]
        return [command, *own, *words]

    def environment(self) -> Mapping[str, str]:
        """The caller's own, with a mark, and without what makes output depend on the caller's terminal."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("COLUMNS", "PYTEST", "JOIN_"))}
        return {**own, MARK: self.mark, "TERM": "dumb"}

    def up(self, *words: str, seconds: float = 2400.0, status: int | None = 0) -> Done:
        """``up`` in containers; the limit allows for building everything once."""
        return self("up", "--provider", "lxc", *words, seconds=seconds, status=status)

    def status(self) -> dict[str, Any]:
        """The lab's own picture of itself, healthy or not."""
        found: dict[str, Any] = self("status", "--json", status=None).json()
        return found

    def on(self, node: str, command: str, *, status: int | None = 0, stdin: str = "", seconds: float = 120.0) -> str:
        """What a command prints on a machine."""
        return self("ssh", node, command, status=status, stdin=stdin, seconds=seconds).out

    def until(self, good: Callable[[dict[str, Any]], bool], what: str, seconds: float) -> dict[str, Any]:
        """The first status that is good."""
        return until(self.status, good, what, seconds)

    @property
    def state(self) -> Path:
        """The lab's folder."""
        return self.folder / ".lab" / self.lab

    @property
    def identity(self) -> Identity:
        """The lab's names on this host."""
        return Identity(self.lab, self.folder)

    def runs(self, kind: str) -> list[Path]:
        """The lab's run folders of one kind, oldest first."""
        return sorted((self.state / "runs").glob(f"*-{kind}"))


def until(
    look: Callable[[], Seen], good: Callable[[Seen], bool], what: str, seconds: float, *, interval: float = 0.5
) -> Seen:
    """Look again and again until what is seen is good; at the deadline the test fails and says what was seen last."""
    return wait_for(what, look, good, seconds=seconds, interval=interval)


def healthy(status: Mapping[str, Any]) -> bool:
    """Does the lab itself find nothing wrong?"""
    return bool(status["verdict"] == "healthy" and not status["problems"])


def names(status: Mapping[str, Any], kind: str) -> Sequence[str]:
    """The names of what a status lists ("machines", "nodes", "etcd"), sorted."""
    return sorted(item["name"] for item in status[kind])
