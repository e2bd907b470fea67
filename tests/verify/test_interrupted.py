"""A person, or whoever ends programs, interrupts ``verify``: what it broke is healed first, or named."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from terminal import CTRL_C, Terminal, terminal

from lab.faults.ledger import Ledger
from lab.waiting import wait_for

FOLDER = Path(__file__).resolve().parents[2]

#: How the fault, and how it will be healed, are named.
FAULT, LATER = "haproxy-stop on master1", "the next ./inv up, verify, resume or bench failover heals it first"


class Folder:
    """The lab that is a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def broken(self) -> bool:
        return (self.path / "broken").exists()

    @property
    def said(self) -> list[str]:
        file = self.path / "said"
        return file.read_text().split() if file.exists() else []

    @property
    def open(self) -> list[str]:
        return [str(entry) for entry in Ledger(self.path / ".lab/ha/faults.json").entries()]

    @property
    def outcome(self) -> str:
        (run,) = (self.path / ".lab/ha/runs").iterdir()
        return str(json.loads((run / "verdict.json").read_text())["outcome"])

    def until(self, word: str) -> None:
        wait_for(f"{word!r} of the fault", lambda: self.said, lambda said: word in said, seconds=20, interval=0.02)

    def heal_waits(self, how: str) -> None:
        (self.path / "waits").write_text(how)

    def heal_may_end(self) -> None:
        (self.path / "heal-may-end").touch()

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "tests.verify.verifying", str(self.path), *(words or ("verify",))]

    @contextmanager
    def verify(self) -> Iterator[Terminal]:
        with terminal([*self.argv(), "--case", "haproxy-stop"], FOLDER) as seen:
            yield seen


@pytest.fixture
def lab(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


Interrupt = Callable[[Terminal], None]

INTERRUPTS: dict[str, Interrupt] = {
    "Ctrl-C": lambda seen: seen.press(CTRL_C),
    "SIGTERM": lambda seen: seen.signal(signal.SIGTERM),
    "SIGHUP": lambda seen: seen.signal(signal.SIGHUP),
    "closed terminal": lambda seen: seen.close(),
}
ALL = pytest.mark.parametrize("interrupt", INTERRUPTS.values(), ids=INTERRUPTS.keys())


@ALL
def test_one_interrupt_while_the_fault_lasts_ends_in_a_healed_lab(lab: Folder, interrupt: Interrupt) -> None:
    with lab.verify() as seen:
        lab.until("broken")
        interrupt(seen)
        assert seen.ends() == 130
    assert lab.said[-1] == "healed"
    assert not lab.broken and lab.open == []
    assert lab.outcome == "unknown"


@ALL
def test_one_interrupt_while_it_is_healed_waits_for_that(lab: Folder, interrupt: Interrupt) -> None:
    lab.heal_waits("command")
    with lab.verify() as seen:
        lab.until("broken")
        (lab.path / "case-may-end").touch()
        lab.until("healing")
        interrupt(seen)
        if interrupt is not INTERRUPTS["closed terminal"]:
            seen.shows(f"interrupted; undone before the end: {FAULT}")
        lab.heal_may_end()
        assert seen.ends() == 130
    assert not lab.broken and lab.open == []


@pytest.mark.parametrize("how", ["command", "endless command", "event", "future", "join"])
def test_a_second_one_is_told_what_is_open_whatever_the_heal_waits_for(lab: Folder, how: str) -> None:
    lab.heal_waits(how)
    with lab.verify() as seen:
        lab.until("broken")
        seen.press(CTRL_C)
        seen.shows(f"interrupted; undone before the end: {FAULT}")
        lab.until("healing")
        seen.press(CTRL_C)
        seen.shows(f"still open: {FAULT}: {LATER}. Interrupted once more it stays so")
        lab.heal_may_end()
        assert seen.ends() == 130
        assert "error" not in seen.text
    assert not lab.broken and lab.open == []


@pytest.mark.parametrize("how", ["command", "endless command", "event", "future", "join"])
def test_a_third_one_leaves_it_open_and_says_so_and_the_next_command_heals_it(lab: Folder, how: str) -> None:
    lab.heal_waits(how)
    with lab.verify() as seen:
        lab.until("broken")
        seen.press(CTRL_C)
        lab.until("healing")
        seen.press(CTRL_C)
        seen.shows("still open")
        seen.press(CTRL_C)
        assert seen.ends() == 130
        seen.shows(f"warning: still open: {FAULT}: {LATER}")
    assert lab.broken and lab.open == [FAULT]
    assert processes(str(lab.path / "heal-may-end")) == [], "what healed has ended too"
    lab.heal_may_end()
    (lab.path / "case-may-end").touch()
    with lab.verify() as seen:
        assert seen.ends() == 0
        seen.shows(f"healing a fault that an earlier command left open: {FAULT}")
        assert "still open" not in seen.text
    assert not lab.broken and lab.open == []


def processes(word: str) -> list[str]:
    """The processes that have this word in their command lines."""
    lines = (file.read_text(errors="replace") for file in Path("/proc").glob("[0-9]*/cmdline") if file.exists())
    return [line for line in lines if word in line]


def test_a_terminal_that_is_closed_leaves_nothing_open_however_often_it_says_so(lab: Folder) -> None:
    lab.heal_waits("command")
    with lab.verify() as seen:
        lab.until("broken")
        seen.press(CTRL_C)
        lab.until("healing")
        seen.close()
        for _ in range(3):
            seen.signal(signal.SIGHUP)
        lab.heal_may_end()
        assert seen.ends() == 130
    assert not lab.broken and lab.open == []


def test_a_terminal_with_a_shell_is_closed(lab: Folder) -> None:
    """The kernel tells the program, and so does the shell."""
    lab.heal_waits("command")
    with terminal(["bash", "--norc", "-i"], FOLDER) as seen:
        status = lab.path / "status"
        line = f"{shlex.join([*lab.argv(), '--case', 'haproxy-stop'])}; echo $? > {status}"
        seen.press(f"bash -c {shlex.quote(f'trap : HUP; {line}')}\n".encode())
        lab.until("broken")
        (lab.path / "case-may-end").touch()
        lab.until("healing")
        seen.close()
        lab.heal_may_end()
        said = wait_for("its exit status", lambda: status.read_text() if status.exists() else "", bool, seconds=20)
    assert int(said) == 130
    assert not lab.broken and lab.open == []


def test_under_nohup_a_closed_terminal_changes_nothing(lab: Folder) -> None:
    with terminal(["nohup", *lab.argv(), "--case", "haproxy-stop"], lab.path, {"PYTHONPATH": str(FOLDER)}) as seen:
        lab.until("broken")
        seen.signal(signal.SIGHUP)
        seen.close()
        (lab.path / "case-may-end").touch()
        assert seen.ends() == 0
    assert "haproxy-stop  pass" in (lab.path / "nohup.out").read_text()


@pytest.mark.parametrize(("interrupts", "status"), [(0, 2), (1, 130)])
def test_a_heal_that_fails_is_told_and_what_it_leaves_open_is_named(lab: Folder, interrupts: int, status: int) -> None:
    lab.heal_waits("fails")
    with lab.verify() as seen:
        lab.until("broken")
        for _ in range(interrupts):
            seen.press(CTRL_C)
        (lab.path / "case-may-end").touch()
        lab.heal_may_end()
        assert seen.ends() == status
        seen.shows(f"{FAULT} could not be healed: master1 does not answer")
        seen.shows(f"still open: {FAULT}: {LATER}")
    assert lab.broken and lab.open == [FAULT]


def test_a_killed_one_leaves_it_to_the_next_command_which_says_so(lab: Folder) -> None:
    with lab.verify() as seen:
        lab.until("broken")
        seen.signal(signal.SIGKILL)
        assert seen.ends() == -signal.SIGKILL
    assert lab.broken and lab.open == [FAULT]
    (lab.path / "case-may-end").touch()
    with lab.verify() as seen:
        assert seen.ends() == 0
        seen.shows(f"healing a fault that an earlier command left open: {FAULT}")
    assert not lab.broken and lab.open == []


@pytest.mark.parametrize(
    ("into", "status", "says"), [("| true", 0, ""), ("> /dev/full", 1, "free some space"), ("2> /dev/full", 0, "")]
)
def test_output_that_nobody_takes_is_no_reason_to_stop(lab: Folder, into: str, status: int, says: str) -> None:
    """A reader that ended, a disk that is full: a fault is made and healed all the same."""
    (lab.path / "case-may-end").touch()
    line = f"{shlex.join(lab.argv())} --case haproxy-stop {into}"
    done = subprocess.run(
        ["bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}"], cwd=FOLDER, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == status, done.stderr
    assert says in done.stderr and "Traceback" not in done.stderr
    assert lab.said == ["prepare", "broken", "healing", "healed"]
    assert lab.outcome == "pass"


@pytest.mark.parametrize("number", [1, 2])
def test_there_is_no_step_at_which_an_interrupt_leaves_a_fault(tmp_path: Path, number: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.verify.every_step", str(tmp_path), str(number), "8"],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=300,
    )
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["runs"] > 500
