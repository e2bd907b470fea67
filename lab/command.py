"""Running one command and knowing all about it: one result type, one error type, nothing swallowed."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lab.cause import cause
from lab.errors import LabError
from lab.interrupts import waiting
from lab.patience import patience

# A Ctrl-C goes to a terminal's whole foreground group, and a heal must survive it. With vfork Python gives a child the
# default handlers before it leaves that group: one that was just being started died of it (74 of 400 under fire, none
# with fork, which takes no longer). The library's documentation names this switch.
vars(subprocess)["_USE_VFORK"] = False

#: Lines of output that an error shows: enough for a stack of causes, short enough to read.
TAIL_LINES = 15

#: The same where it is known why: then they only show what came before.
TAIL_LINES_BEHIND_CAUSE = 5

#: Seconds that a command is given to end after SIGTERM before it gets SIGKILL.
TERM_GRACE = 5.0

LineSink = Callable[[str], None]


class Note(str):
    """A line for a LineSink that the reader must not miss: it is shown for good, not only while it is the last one."""

    __slots__ = ()


@dataclass(frozen=True)
class Result:
    """What a finished command did.

    ``command`` is what a person could type; ``machine`` where it ran ("" = this host); ``duration`` is in seconds.
    ``secret``: what it prints is a credential, which no message may show.
    """

    command: str
    status: int
    stdout: str = field(repr=False)
    stderr: str
    duration: float
    machine: str = ""
    secret: bool = False

    @property
    def ok(self) -> bool:
        """Did it end with status 0?"""
        return self.status == 0

    def check(self, hint: str = "") -> Result:
        """Return the result itself, or raise CommandError when the command failed."""
        if not self.ok:
            raise CommandError(self, hint)
        return self

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines of its error output, or of its output when there is none (and it is no secret)."""
        text = self.stderr.strip() or ("" if self.secret else self.stdout.strip())
        return "\n".join(text.splitlines()[-lines:])

    @property
    def cause(self) -> list[str]:
        """The lines that say why it failed, where it says so in a way that is known (see lab.cause).

        Its error output comes first; where that holds no more than warnings, its output may (and is no secret).
        """
        return cause(self.stderr) or ([] if self.secret else cause(self.stdout))


class CommandError(LabError):
    """A command failed. Shows the command, the machine, the lines that say why, its last lines and what to do."""

    def __init__(self, result: Result, hint: str = "") -> None:
        self.result = result
        where = f" on {result.machine}" if result.machine else ""
        why = result.cause
        said = result.tail(TAIL_LINES_BEHIND_CAUSE if why else TAIL_LINES).splitlines()
        lines = [f"command failed{where} (status {result.status}, {result.duration:.1f} s): {result.command}"]
        lines += [f"  why: {line}" for line in why]
        lines += [f"  | {line}" for line in said if line.strip() not in ("", *why)]
        super().__init__("\n".join(lines), hint)


class CommandTimeout(CommandError):
    """A command did not end within its deadline and was ended."""


def shown(argv: Sequence[str]) -> str:
    """The command as a person would type it."""
    return shlex.join(argv)


@dataclass
class _Reader:
    """Drains one stream in a thread, so that neither pipe can fill up and block the command.

    ``failure`` is what the sink raised, if it did: the stream is drained even so.
    """

    sink: LineSink | None
    keep: bool = True
    lines: list[str] = field(default_factory=list)
    failure: Exception | None = None

    def start(self, stream: object) -> threading.Thread:
        thread = threading.Thread(target=self._drain, args=(stream,), daemon=True)
        thread.start()
        return thread

    def _drain(self, stream: object) -> None:
        for line in stream:  # type: ignore[attr-defined]
            if self.keep:
                self.lines.append(line)
            if self.sink is None or self.failure is not None:
                continue
            try:
                self.sink(line.rstrip("\n"))
            except Exception as error:  # noqa: BLE001  handed to whoever waits for the command
                self.failure = error


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    sink: LineSink | None = None,
    machine: str = "",
    label: str | None = None,
    secret: bool = False,
) -> Result:
    """Run ``argv`` to its end and return what it did; the status is not judged (see Result.check).

    ``env`` is added to the environment, ``timeout`` is in seconds of an ordinary host (see patience), ``sink`` gets
    each line of output as it comes, ``label`` replaces the command in messages where the real one is an unreadable
    wrapper; what a ``secret`` command prints is in its result and in no message.
    The command runs in a process group of its own: on a timeout or an interrupt the whole group is ended, so nothing
    outlives its caller; so does end_commands from another thread. Raises CommandTimeout, LabError when the program
    cannot be started, and what the sink raised.
    """
    command = label if label is not None else shown(argv)
    started = time.monotonic()
    timeout = None if timeout is None else timeout * patience()
    out, err = _Reader(sink), _Reader(sink)

    def result(status: int) -> Result:
        took = time.monotonic() - started
        return Result(command, status, "".join(out.lines), "".join(err.lines), took, machine, secret)

    with _running(lambda: _start(argv, command, stdin, env, cwd)) as process:
        threads = [out.start(process.stdout), err.start(process.stderr)]
        try:
            with waiting():
                process.wait(timeout)
        except subprocess.TimeoutExpired:
            end_group(process)
            _join(threads)
            raise CommandTimeout(result(124), f"it was given {timeout:.0f} s") from None
        except BaseException:
            end_group(process)
            raise
    _join(threads)
    for failure in (out.failure, err.failure):
        if failure is not None:
            raise failure
    return result(process.returncode)


def _start(
    argv: Sequence[str],
    command: str,
    stdin: str | None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[str]:
    """Start a command as the leader of a process group of its own, ``stdin`` being fed to it."""
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **env} if env else None,
            cwd=cwd,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError as error:
        if cwd is not None and not cwd.is_dir():
            raise LabError(f"there is no folder {cwd} (wanted by: {command})") from error
        raise LabError(f"program not found: {argv[0]} (wanted by: {command})", "run ./inv doctor") from error
    except PermissionError as error:
        raise LabError(f"program may not be run: {argv[0]} (wanted by: {command})") from error
    if stdin is not None:
        # In a thread: a command that never reads must run into its deadline, not block its caller.
        threading.Thread(target=_feed, args=(process, stdin), daemon=True).start()
    return process


def _feed(process: subprocess.Popen[str], text: str) -> None:
    """Write all of ``text`` to the command's standard input; a command that does not read it all is no error."""
    assert process.stdin is not None
    for step in (lambda: process.stdin.write(text), process.stdin.close):
        try:
            step()
        except BrokenPipeError:
            continue  # the command ended without reading: its own status tells why


#: Who waits for what: a thread's identifier by the command.
_under_way: dict[subprocess.Popen[str], int] = {}
_under_way_lock = threading.Lock()


@contextmanager
def _running(start: Callable[[], subprocess.Popen[str]]) -> Iterator[subprocess.Popen[str]]:
    """Start a command, known to end_commands from its first moment to its last."""
    with _under_way_lock:
        process = start()
        _under_way[process] = threading.get_ident()
    try:
        yield process
    finally:
        with _under_way_lock:
            _under_way.pop(process, None)


def end_commands(threads: Iterable[threading.Thread]) -> None:
    """End every command that one of these threads waits for: it sees its command fail.

    An interrupt reaches the main thread only; this carries it to others, and to no command that heals something.
    """
    waiters = {thread.ident for thread in threads}
    with _under_way_lock:
        processes = [process for process, waiter in _under_way.items() if waiter in waiters]
    for process in processes:
        signal_group(process, signal.SIGTERM)
    for process in processes:
        end_group(process)


def _join(threads: Sequence[threading.Thread]) -> None:
    """Wait for the readers; bounded, because a daemon that the command left behind may hold the pipe open."""
    for thread in threads:
        thread.join(timeout=2.0)


def end_group(process: subprocess.Popen[str]) -> None:
    """End the process group that ``process`` leads: SIGTERM first; SIGKILL after TERM_GRACE seconds, and for those who
    stay when their leader has ended."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not signal_group(process, number):
            break
        try:
            process.wait(TERM_GRACE)
        except subprocess.TimeoutExpired:
            continue
    process.poll()


def signal_group(process: subprocess.Popen[str], number: signal.Signals) -> bool:
    """Send a signal to the process group that ``process`` leads; False when nobody is left in it."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True


class Stream:
    """A command that goes on until it is stopped, its lines handed over as they come.

    Used for probes: ``stop`` ends the command (its whole process group) and returns once its last line was delivered.
    """

    def __init__(self, argv: Sequence[str], sink: LineSink, *, label: str = "", stdin: str | None = None) -> None:
        self.command = label or shown(argv)
        self._errors: deque[str] = deque(maxlen=TAIL_LINES)
        self._process = _start(argv, self.command, stdin)
        # Hours of a probe's lines are the sink's to keep.
        self._reader = _Reader(sink, keep=False)
        self._threads = [
            self._reader.start(self._process.stdout),
            _Reader(self._errors.append, keep=False).start(self._process.stderr),
        ]

    @property
    def alive(self) -> bool:
        """Is the command still running, and its lines still taken?"""
        return self._process.poll() is None and self._reader.failure is None

    @property
    def errors(self) -> str:
        """The last lines of its error output, and why its lines are no longer taken if that is so."""
        failure = self._reader.failure
        return "\n".join([*self._errors, *([f"its lines could not be kept: {failure}"] if failure else [])])

    def stop(self) -> int:
        """End the command and return its status (negative: the signal that ended it)."""
        end_group(self._process)
        _join(self._threads)
        return self._process.returncode if self._process.returncode is not None else -int(signal.SIGKILL)
