"""The command line: exit statuses, what is handed on untouched, what a person sees who typed nothing."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from invoke.exceptions import Exit

from lab import program
from lab.command import CommandError, Result
from lab.errors import ExitStatus, LabError, UsageError
from lab.program import main, overview, split_verbatim

FOLDER = Path(__file__).resolve().parent.parent


def status_of(argv: list[str]) -> int:
    """The exit status as a shell sees it."""
    try:
        return main(argv)
    except SystemExit as ended:
        assert isinstance(ended.code, int)
        return int(ended.code)


@pytest.mark.parametrize(
    ("argv", "own", "handed_on"),
    [
        ([], [], []),
        (["up", "--until", "machines"], ["up", "--until", "machines"], []),
        (["ssh"], ["ssh"], []),
        (["ssh", "master1"], ["ssh"], ["master1"]),
        (["ssh", "master1", "ls", "-l", "--", "-x"], ["ssh"], ["master1", "ls", "-l", "--", "-x"]),
        (["ssh", "--lab", "a", "master1", "--lab", "b"], ["ssh", "--lab", "a"], ["master1", "--lab", "b"]),
        (["ssh", "--lab=a", "master1"], ["ssh", "--lab=a"], ["master1"]),
        (["kubectl", "get", "pods", "-o", "wide", "-A"], ["kubectl"], ["get", "pods", "-o", "wide", "-A"]),
        (["kubectl", "--definition", "x.yaml", "-n", "a", "logs", "-f", "b"],
         ["kubectl", "--definition", "x.yaml"], ["-n", "a", "logs", "-f", "b"]),
        (["kubectl", "--lab"], ["kubectl", "--lab"], []),
        (["enter", "curl", "-k", "https://10.21.0.100:16443/"], ["enter"], ["curl", "-k", "https://10.21.0.100:16443/"]),
        (["enter", "sh", "-c", "echo  two  spaces"], ["enter"], ["sh", "-c", "echo  two  spaces"]),
        (["status", "ssh", "x"], ["status", "ssh", "x"], []),
        (["--help", "ssh"], ["--help", "ssh"], []),
    ],
)  # fmt: skip
def test_what_stands_behind_ssh_kubectl_and_enter_is_not_ours(
    argv: list[str], own: list[str], handed_on: list[str]
) -> None:
    assert split_verbatim(argv) == (own, handed_on)


@pytest.mark.parametrize(
    ("words", "name", "node"),
    [
        ("snapshot", "", ""),
        ("snapshot --node m1", "", "m1"),
        ("snapshot --node=m1", "", "m1"),
        ("snapshot -o m1", "", "m1"),
        ("snapshot one", "one", ""),
        ("snapshot one --node m1", "one", "m1"),
        ("snapshot --node m1 one", "one", "m1"),
        ("snapshot --node=m1 one", "one", "m1"),
        ("snapshot -om1 one", "one", "m1"),
        ("snapshot --name one", "one", ""),
        ("snapshot -n one", "one", ""),
        ("restore one --node m1", "one", "m1"),
    ],
)
def test_a_snapshots_name_may_be_left_out(words: str, name: str, node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.commands import power

    seen: list[tuple[str, ...]] = []
    for command in ("snapshot", "restore"):
        monkeypatch.setattr(power, command, lambda *given: seen.append(given))
    assert main(words.split()) == 0
    assert seen == [("", "", name, node)]


def test_what_to_restore_must_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["restore", "--node", "m1"]) == 64
    assert "'name'" in capsys.readouterr().err


def test_the_words_arrive_as_they_were_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.commands import handover

    seen: list[tuple[str, str, list[str]]] = []
    monkeypatch.setattr(handover, "ssh", lambda lab, definition, words: seen.append((lab, definition, list(words))))
    assert main(["ssh", "--lab", "b", "master1", "systemctl", "--no-pager", "-h"]) == 0
    assert main(["ssh", "master2"]) == 0
    assert seen == [("b", "", ["master1", "systemctl", "--no-pager", "-h"]), ("", "", ["master2"])]


FAILURES: list[tuple[Exception | BaseException, int, str]] = [
    (LabError("keepalived is gone", "look there"), 1, "keepalived is gone"),
    (CommandError(Result("ip addr", 5, "", "no such device", 0.1, "master1")), 1, "no such device"),
    (UsageError("no such machine"), 64, "no such machine"),
    (Exit("as asked", code=3), 3, "as asked"),
    (KeyError("oops"), 70, "a fault of the program"),
    (OSError(errno.ENOSPC, "No space left on device"), 1, "free some space"),
    (PermissionError(errno.EACCES, "Permission denied", "/lab/lock"), 1, "error: /lab/lock: Permission denied"),
    (PermissionError(errno.EPERM, "Operation not permitted"), 70, "a fault of the program"),
    (OSError(errno.EBADF, "Bad file descriptor"), 70, "a fault of the program"),
    (KeyboardInterrupt(), 130, "interrupted"),
    (SystemExit(ExitStatus.FAIL), 1, ""),
]


@pytest.mark.parametrize(("error", "status", "says"), FAILURES, ids=lambda value: type(value).__name__)
def test_each_kind_of_end_has_its_exit_status(
    error: BaseException,
    status: int,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    from lab.commands import status as command

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(command, "run", fail)
    monkeypatch.setattr(program, "FOLDER", tmp_path)
    assert status_of(["status"]) == status
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.out == "", "what is wrong does not go where other programs read"
    assert "Traceback" not in captured.err


def test_a_good_end_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.commands import status as command

    monkeypatch.setattr(command, "run", lambda *_, **__: None)
    assert status_of(["status"]) == 0


def test_a_hint_is_shown_with_the_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _failing(monkeypatch, UsageError("no machine m9", "its machines: m1, m2"))
    status_of(["status"])
    assert "→ its machines: m1, m2" in capsys.readouterr().err


def test_a_fault_leaves_what_to_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _failing(monkeypatch, ValueError("odd"))
    monkeypatch.setattr(program, "FOLDER", tmp_path)
    assert status_of(["status"]) == 70
    assert str(tmp_path / ".lab" / "fault.txt") in capsys.readouterr().err
    assert "ValueError: odd" in (tmp_path / ".lab" / "fault.txt").read_text()


def test_a_fault_that_cannot_be_stored_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _failing(monkeypatch, ValueError("odd"))
    (tmp_path / "file").touch()
    monkeypatch.setattr(program, "FOLDER", tmp_path / "file")
    assert status_of(["status"]) == 70
    assert "Traceback" in capsys.readouterr().err


def _failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    from lab.commands import status as command

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(command, "run", fail)


@pytest.mark.parametrize(
    "argv",
    [
        ["nosuchtask"],
        ["status", "--nosuchoption"],
        ["status", "--lab"],
        ["up", "--until", "nowhere"],
        ["up", "--provider", "virtualbox"],
        ["up", "--definition", "/no/such/file.yaml"],
        ["--help", "nosuchtask"],
    ],
)
def test_what_nobody_knows_is_wrong_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(argv) == 64
    assert "error:" in capsys.readouterr().err


class TestHelp:
    """What a person sees who asks."""

    @pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
    def test_nothing_typed_shows_every_command(self, argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert status_of(argv) == 0
        shown = capsys.readouterr().out
        for name in ("up", "verify", "destroy", "status", "enter", "ssh", "kubectl", "plan", "doctor", "test"):
            assert f"\n  {name} " in shown
        assert "--prompt-for-sudo-password" not in shown

    def test_the_overview_is_aligned_and_short(self) -> None:
        text = overview({"up": "Make it.\n\nIn detail.", "kubectl": "Ask it."})
        assert "\n  up       Make it.\n  kubectl  Ask it.\n" in text
        assert "In detail" not in text

    @pytest.mark.parametrize("command", ["ssh", "kubectl", "enter"])
    @pytest.mark.parametrize("ask", ["--help", "-h"])
    def test_a_command_that_hands_on_can_still_be_asked(
        self, command: str, ask: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert status_of([command, ask]) == 0
        assert "--lab" in capsys.readouterr().out

    def test_every_command_and_every_option_is_explained(self) -> None:
        # In a process of its own: Invoke takes the explanations out of a task when it first asks for them.
        program = (
            "import sys, tasks; from invoke.collection import Collection\n"
            "found = Collection.from_module(tasks).tasks.values()\n"
            "print(len(found), file=sys.stderr)\n"
            "for task in found:\n"
            "    print(*[f'{task.name}: no text'] if not task.__doc__ else [])\n"
            "    print(*[f'{task.name} --{one.name}' for one in task.get_arguments() if not one.help])\n"
        )
        done = subprocess.run([sys.executable, "-c", program], cwd=FOLDER, capture_output=True, text=True, check=True)
        assert int(done.stderr) >= 10
        assert done.stdout.split() == []

    def test_lists_are_lists(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert status_of(["--list"]) == 0
        assert "verify" in capsys.readouterr().out
        assert status_of(["--version"]) == 0


class TestProcess:
    """The program as it is started by the script."""

    @pytest.fixture
    def inv(self) -> Callable[..., subprocess.CompletedProcess[str]]:
        def run(*argv: str, cwd: Path = FOLDER) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-P", "-m", "lab.program", *argv],
                env={**os.environ, "PYTHONPATH": str(FOLDER)},
                cwd=cwd,
                capture_output=True,
                text=True,
                timeout=30,
            )

        return run

    def test_a_readers_own_tasks_are_not_ours(
        self, inv: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
    ) -> None:
        (tmp_path / "tasks.py").write_text("raise SystemExit('foreign tasks.py')")
        (tmp_path / "lab").mkdir()
        done = inv("--list", cwd=tmp_path)
        assert done.returncode == 0
        assert "verify" in done.stdout

    def test_listing_loads_nothing_heavy(self) -> None:
        program = "import sys; from lab.program import main; main(['--list']); print(*sys.modules, file=sys.stderr)"
        done = subprocess.run([sys.executable, "-c", program], cwd=FOLDER, capture_output=True, text=True, check=True)
        heavy = {"pydantic", "rich", "jinja2", "vagrant", "libvirt", "ruamel.yaml"}
        assert heavy & set(done.stderr.split()) == set()

    def test_nobody_reading_is_no_fault(self) -> None:
        line = f"set -o pipefail; {sys.executable} -m lab.program --list | true"
        done = subprocess.run(["bash", "-c", line], cwd=FOLDER, capture_output=True, text=True, timeout=30)
        assert "Traceback" not in done.stderr
        assert "fault" not in done.stderr


#: A program that is interrupted while it undoes something, and again while it waits for its last words to be shown.
IMPATIENT = """
import os, signal, sys, threading
from lab import interrupts, program

def main():
    try:
        with interrupts.held(lambda: [interrupts.Open("a fault", "later")]), interrupts.unbroken():
            os.kill(os.getpid(), signal.SIGINT)
            told.wait(10)
    except KeyboardInterrupt:
        return 130

def slow(text):
    told.set()
    at_the_end.wait(10)
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(10)

def finish(usual=interrupts.finish):
    at_the_end.set()
    usual()

told, at_the_end = threading.Event(), threading.Event()
program.main, program._notice, interrupts.finish = main, slow, finish
sys.exit(program.process())
"""


def test_an_interrupt_of_the_last_words_shows_no_trace() -> None:
    done = subprocess.run([sys.executable, "-c", IMPATIENT], cwd=FOLDER, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.parametrize("words", [[], ["--list"], ["--version"]])
def test_a_full_disk_is_told_also_where_little_was_written(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lab.program", *words],
            cwd=FOLDER, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
