"""One way to run a command: its result says everything, and nothing of it outlives the caller."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import command
from lab.command import CommandError, CommandTimeout, Result, Stream, end_commands, run
from lab.errors import LabError
from lab.waiting import wait_for

#: More than a pipe holds (64 KiB).
LOTS = "x" * 300_000


def ended(pid: int) -> bool:
    """Is the process gone, or dead and only not yet collected by whoever inherited it?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def await_end(pid: int) -> None:
    wait_for(f"the end of process {pid}", lambda: ended(pid), bool, seconds=5)


def read_pid(file: Path) -> int:
    return int(wait_for(f"a number in {file}", lambda: file.read_text() if file.exists() else "", bool, seconds=5))


def test_a_result_says_what_was_run_and_what_came_of_it() -> None:
    result = run(["sh", "-c", "echo out; echo err >&2; exit 3"], machine="master1")
    assert (result.status, result.stdout, result.stderr, result.machine) == (3, "out\n", "err\n", "master1")
    assert not result.ok
    assert result.command == "sh -c 'echo out; echo err >&2; exit 3'"
    assert result.duration > 0


def test_a_failure_shows_command_machine_last_lines_and_what_to_do() -> None:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "seq 1 100 >&2; exit 7"], machine="worker1", label="count").check("count to fewer")
    text = str(caught.value)
    assert "on worker1" in text
    assert "status 7" in text
    assert "count to fewer" in text
    assert "  | 100" in text
    assert "  | 85\n" not in text, "only the last lines"


def test_the_tail_is_error_output_else_output() -> None:
    assert run(["sh", "-c", "echo a; echo b >&2"]).tail() == "b"
    assert run(["sh", "-c", "echo a"]).tail() == "a"


def test_what_a_secret_command_prints_is_in_no_message() -> None:
    result = run(["sh", "-c", "echo t0ken; echo why >&2; exit 1"], secret=True, label="mint")
    silent = run(["sh", "-c", "echo t0ken; exit 1"], secret=True, label="mint")
    assert result.stdout == "t0ken\n"
    for one in (result, silent):
        assert "t0ken" not in str(CommandError(one)) + repr(one) + repr(CommandError(one))
    assert "why" in str(CommandError(result))


def test_a_secret_command_that_runs_out_of_time_keeps_its_secret() -> None:
    with pytest.raises(CommandTimeout) as caught:
        run(["sh", "-c", "echo t0ken; exec sleep 30"], secret=True, label="mint", timeout=0.3)
    assert "t0ken" not in str(caught.value)


def test_input_of_any_size_arrives_while_output_of_any_size_is_read() -> None:
    assert run(["cat"], stdin=LOTS).stdout == LOTS


def test_text_is_utf8_whatever_the_locale_says() -> None:
    assert run(["cat"], stdin="ü€", env={"LC_ALL": "C"}).stdout == "ü€"


def test_bytes_that_are_no_text_do_not_stop_it() -> None:
    assert run(["printf", r"a\377b"]).stdout == "a\N{REPLACEMENT CHARACTER}b"


def test_a_command_may_end_without_reading_its_input(recwarn: pytest.WarningsRecorder) -> None:
    assert run(["true"], stdin=LOTS).ok


def test_a_command_that_never_reads_its_input_runs_into_its_deadline() -> None:
    started = time.monotonic()
    with pytest.raises(CommandTimeout):
        run(["sleep", "30"], stdin=LOTS, timeout=0.3)
    assert time.monotonic() - started < 5


def test_without_input_a_command_reads_nothing() -> None:
    assert run(["cat"], timeout=5).stdout == ""


def test_env_is_added_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "1")
    assert run(["sh", "-c", "echo $KEPT$ADDED"], env={"ADDED": "2"}).stdout == "12\n"


def test_the_sink_gets_every_line_as_it_comes() -> None:
    lines: list[str] = []
    arrived = threading.Event()

    def sink(line: str) -> None:
        lines.append(line)
        arrived.set()

    thread = threading.Thread(target=run, args=(["sh", "-c", "echo early; exec sleep 1"],), kwargs={"sink": sink})
    thread.start()
    assert arrived.wait(0.9), "before the command has ended"
    thread.join()
    assert lines == ["early"]


def test_a_sink_that_fails_neither_blocks_the_command_nor_is_forgotten() -> None:
    def sink(line: str) -> None:
        raise BrokenPipeError("nobody reads any more")

    with pytest.raises(BrokenPipeError):
        run(["sh", "-c", f"head -c {len(LOTS)} /dev/zero | tr '\\0' '\\n'"], sink=sink, timeout=10)


def test_a_timeout_shows_what_was_said_and_ends_the_whole_group(tmp_path: Path) -> None:
    script = f"sleep 300 & echo $! > {tmp_path}/pid; echo started; wait"
    with pytest.raises(CommandTimeout) as caught:
        run(["sh", "-c", script], timeout=0.5, label="sleep for long")
    assert "started" in str(caught.value)
    assert "sleep for long" in str(caught.value)
    assert caught.value.result.status == 124
    await_end(read_pid(tmp_path / "pid"))


def test_a_child_that_ignores_sigterm_is_killed_when_its_leader_has_ended(tmp_path: Path) -> None:
    stubborn = f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.1; done"
    with pytest.raises(CommandTimeout):
        run(
            [
                "sh",
                "-c",
                f"sh -c '{stubborn.replace(chr(39), chr(39) + chr(34) + chr(39) + chr(34) + chr(39))}' & wait",
            ],
            timeout=0.5,
        )
    await_end(read_pid(tmp_path / "pid"))


def test_a_leader_that_ignores_sigterm_is_killed_after_its_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "TERM_GRACE", 0.2)
    with pytest.raises(CommandTimeout):
        run(["sh", "-c", f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.1; done"], timeout=0.3)
    await_end(read_pid(tmp_path / "pid"))


def test_a_daemon_that_holds_the_output_open_does_not_hold_the_caller(tmp_path: Path) -> None:
    started = time.monotonic()
    script = f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 30' & echo done"
    try:
        assert run(["sh", "-c", script]).stdout == "done\n"
        assert time.monotonic() - started < 10
    finally:
        os.kill(read_pid(tmp_path / "pid"), signal.SIGKILL)


@pytest.mark.parametrize(
    ("argv", "cwd", "says"),
    [
        (["no-such-program-here", "x"], None, "program not found: no-such-program-here"),
        (["/etc/passwd"], None, "program may not be run: /etc/passwd"),
        (["true"], Path("/no/such/folder"), "there is no folder /no/such/folder"),
    ],
)
def test_what_cannot_be_started_is_said_plainly(argv: list[str], cwd: Path | None, says: str) -> None:
    with pytest.raises(LabError, match=says):
        run(argv, cwd=cwd)


def test_what_some_threads_wait_for_is_ended_and_nothing_else(tmp_path: Path) -> None:
    results: dict[str, Result] = {}

    def wait(name: str) -> None:
        results[name] = run(["sh", "-c", f"echo $$ > {tmp_path}/{name}; exec sleep 1"])

    ends, stays = (threading.Thread(target=wait, args=(name,)) for name in ("ends", "stays"))
    for thread in (ends, stays):
        thread.start()
    pid = read_pid(tmp_path / "ends")
    read_pid(tmp_path / "stays")
    end_commands([ends])
    for thread in (ends, stays):
        thread.join(5)
    assert (results["ends"].status, results["stays"].status) == (-signal.SIGTERM, 0)
    assert ended(pid)


def test_an_interrupt_ends_the_command(tmp_path: Path) -> None:
    program = f"from lab.command import run\nrun(['sh', '-c', 'sleep 300 & echo $! > {tmp_path}/pid; wait'])\n"
    child = Stream([sys.executable, "-c", program], lambda line: None)
    pid = read_pid(tmp_path / "pid")
    os.kill(child._process.pid, signal.SIGINT)
    await_end(pid)
    child.stop()


class TestStream:
    """A command that goes on until it is stopped."""

    def collect(self, argv: list[str], until: Callable[[list[str]], bool]) -> tuple[list[str], int]:
        lines: list[str] = []
        stream = Stream(argv, lines.append)
        wait_for("lines", lambda: list(lines), until, seconds=5)
        assert stream.alive
        status = stream.stop()
        assert not stream.alive
        return lines, status

    def test_hands_over_lines_until_it_is_stopped(self) -> None:
        lines, status = self.collect(
            ["sh", "-c", "while :; do echo tick; sleep 0.02; done"], lambda seen: len(seen) > 3
        )
        assert set(lines) == {"tick"}
        assert status == -signal.SIGTERM

    def test_delivers_what_the_command_says_last(self) -> None:
        script = "trap 'echo goodbye; exit 0' TERM; echo hello; while :; do sleep 0.02; done"
        lines, status = self.collect(["sh", "-c", script], bool)
        assert lines == ["hello", "goodbye"]
        assert status == 0

    def test_keeps_the_last_errors_of_one_that_ended_by_itself(self) -> None:
        stream = Stream(["sh", "-c", "seq 1 50 >&2; exit 4"], lambda line: None)
        wait_for("its end", lambda: stream.alive, lambda alive: not alive, seconds=5)
        assert stream.stop() == 4
        assert stream.errors.splitlines()[-1] == "50"
        assert len(stream.errors.splitlines()) == command.TAIL_LINES

    def test_takes_input(self) -> None:
        lines: list[str] = []
        stream = Stream(["cat"], lines.append, stdin="a\nb\n")
        wait_for("both lines", lambda: list(lines), lambda seen: len(seen) == 2, seconds=5)
        stream.stop()
        assert lines == ["a", "b"]

    def test_one_whose_lines_cannot_be_kept_counts_as_ended_and_says_why(self) -> None:
        def full(_line: str) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        stream = Stream(["sh", "-c", "echo tick; sleep 60"], full)
        wait_for("its end", lambda: stream.alive, lambda alive: not alive, seconds=5)
        stream.stop()
        assert stream.errors == "its lines could not be kept: [Errno 28] No space left on device"


#: A program that runs commands while its whole process group is interrupted as fast as another process can.
UNDER_FIRE = """
import os, signal, sys
signal.signal(signal.SIGINT, lambda number, frame: None)
from lab.command import run
group = os.getpgid(0)
shooter = os.fork()
if not shooter:
    while True:
        os.killpg(group, signal.SIGINT)
try:
    print([result.status for result in (run(["true"]) for _ in range(100)) if not result.ok])
finally:
    os.kill(shooter, signal.SIGKILL)
    os.waitpid(shooter, 0)
"""


def test_a_command_that_is_just_being_started_does_not_die_of_the_terminals_interrupt() -> None:
    result = run([sys.executable, "-c", UNDER_FIRE], timeout=60.0)
    assert (result.ok, result.stdout) == (True, "[]\n"), result.stderr
