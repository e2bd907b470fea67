"""A fault is healed whatever happens, and one that was not is healed by the next command."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab.errors import LabError
from lab.identity import Identity
from lab.interrupts import Open
from lab.state import State
from lab.verify import ledger
from lab.verify.history import History, Records
from lab.verify.ledger import LATER, Ledger, applied, heal_open, still_open
from lab.verify.records import FaultStep, Part

VIEW: Any = None


@dataclass
class FakeFault:
    """Notes what is done to it, and fails where it is told to."""

    name: str = "haproxy-stop"
    node: str = "master1"
    silences: bool = False
    fails: str = ""
    done: list[str] = field(default_factory=list)
    seen: Callable[[], object] = lambda: None

    def _do(self, what: str) -> None:
        self.done.append(what)
        self.seen()
        if self.fails == what:
            raise LabError(f"{what} failed")

    def prepare(self, view: Any) -> None:
        self._do("prepare")

    def begin(self, view: Any) -> float | None:
        self._do("begin")
        return 12.5

    def heal(self, view: Any) -> None:
        self._do("heal")


@dataclass(frozen=True)
class FakeView:
    """As much of a view as the ledger wants."""

    state: Path


@pytest.fixture
def view(tmp_path: Path) -> Any:
    return FakeView(tmp_path)


@pytest.fixture
def history(tmp_path: Path) -> History:
    made = History(tmp_path / "history.jsonl")
    made.begin(Part("case"))
    return made


def events(history: History) -> list[str]:
    return [step.event for step in steps(history)]


def steps(history: History) -> Sequence[FaultStep]:
    return history.look(Records.copy).of(FaultStep)


def test_a_fault_lasts_as_long_as_its_block(view: Any, history: History) -> None:
    fault = FakeFault()
    with applied(fault, view, history):
        assert fault.done == ["prepare", "begin"]
    assert fault.done == ["prepare", "begin", "heal"]
    assert events(history) == ["begin", "begun", "heal", "healed"]
    assert (steps(history)[1].t, steps(history)[1].source) == (12.5, "master1")
    assert Ledger.of(view).entries() == []


def test_it_is_written_down_before_anything_is_done_and_until_it_is_healed(view: Any, history: History) -> None:
    fault = FakeFault()
    open_then: list[list[str]] = []
    fault.seen = lambda: open_then.append([entry.name for entry in Ledger.of(view).entries()])
    with applied(fault, view, history):
        pass
    assert open_then == [["haproxy-stop"]] * 3


@pytest.mark.parametrize("error", [LabError("x"), ValueError("x"), KeyboardInterrupt(), SystemExit(3)])
def test_it_is_healed_whatever_happens(view: Any, history: History, error: BaseException) -> None:
    fault = FakeFault()
    with pytest.raises(type(error)), applied(fault, view, history):
        raise error
    assert fault.done[-1] == "heal"
    assert Ledger.of(view).entries() == []


@pytest.mark.parametrize("step", ["prepare", "begin"])
def test_a_fault_that_fails_half_way_is_healed(view: Any, history: History, step: str) -> None:
    fault = FakeFault(fails=step)
    with pytest.raises(LabError, match=step), applied(fault, view, history):
        pytest.fail("the block must not be entered")
    assert fault.done[-1] == "heal"
    assert Ledger.of(view).entries() == []


def test_what_cannot_be_healed_stays_open_and_the_next_command_heals_it(
    view: Any, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LabError, match="heal failed"), applied(FakeFault(fails="heal"), view, history):
        pass
    assert [entry.name for entry in Ledger.of(view).entries()] == ["haproxy-stop"]
    later = FakeFault()
    monkeypatch.setattr(ledger, "make", lambda name, node: later)
    said: list[str] = []
    assert heal_open(view, said.append) == ["haproxy-stop on master1"]
    assert later.done == ["heal"] and "haproxy-stop on master1" in said[0]
    assert Ledger.of(view).entries() == []
    assert heal_open(view, said.append) == []


def test_a_history_on_a_full_disk_is_no_reason_to_leave_it(view: Any, history: History) -> None:
    fault = FakeFault()
    with pytest.raises(OSError, match="No space left"), applied(fault, view, history):
        history._file = Path("/dev/full").open("w", buffering=1)  # noqa: SIM115  the history's own to close
    assert fault.done[-1] == "heal"
    assert Ledger.of(view).entries() == []


def test_what_keeps_it_from_being_healed_names_fault_machine_and_what_to_do(view: Any, history: History) -> None:
    with pytest.raises(LabError) as caught, applied(FakeFault(fails="heal"), view, history):
        pass
    assert caught.value.message == "haproxy-stop on master1 could not be healed: heal failed"
    assert "./inv ssh master1" in caught.value.hint
    assert LATER in caught.value.hint


def test_a_disk_that_is_full_keeps_no_other_fault_open(view: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    book = Ledger.of(view)
    for node in ("master1", "master2"):
        book.open(FakeFault(node=node))

    def full(view: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    ill, well = FakeFault(), FakeFault(node="master2")
    monkeypatch.setattr(ill, "heal", full)
    monkeypatch.setattr(ledger, "make", lambda name, node: ill if node == "master1" else well)
    with pytest.raises(LabError, match=r"haproxy-stop on master1 could not be healed: .*No space left"):
        heal_open(view, lambda line: None)
    assert well.done == ["heal"]


def test_what_is_open_is_named_with_how_it_is_healed_later(view: Any) -> None:
    book = Ledger.of(view)
    assert book.still_open() == []
    book.open(FakeFault())
    assert book.still_open() == [Open("haproxy-stop on master1", LATER)]
    book.path.write_text("[")
    (damaged,) = book.still_open()
    assert "faults.json" in damaged.what and "remove the file" in damaged.later


def test_what_a_lab_has_that_it_should_not_have(tmp_path: Path) -> None:
    state = State(Identity("ha", tmp_path))
    book = Ledger(state.folder / "faults.json")
    for name in ("pause", "test-pods"):
        book.open(FakeFault(name=name))
    state.borrow_settings("article")
    assert [one.what for one in still_open(state)] == [
        "pause on master1",
        "test-pods on master1",
        "the load balancer of article",
    ]
    assert [one.what for one in still_open(state, litter=False)] == ["pause on master1", "the load balancer of article"]


def test_one_that_cannot_be_healed_does_not_keep_the_others_open(view: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    book = Ledger.of(view)
    for name in ("haproxy-stop", "power-cut"):
        book.open(FakeFault(name=name))
    monkeypatch.setattr(ledger, "make", lambda name, node: FakeFault(fails="heal" if name == "haproxy-stop" else ""))
    with pytest.raises(LabError, match="haproxy-stop on master1"):
        heal_open(view, lambda line: None)
    assert [entry.name for entry in book.entries()] == ["haproxy-stop"]


def test_what_was_done_to_a_machine_that_is_no_more_went_with_it(view: Any) -> None:
    """Nothing can be undone on the new machine in its place; the pods that a case created are in the cluster."""
    its = Ledger.of(view)
    for fault in (FakeFault(), FakeFault(node="master2"), FakeFault("pause"), FakeFault("test-pods")):
        its.open(fault)
    assert [str(entry) for entry in its.forget(["master1", "worker1"])] == [
        "haproxy-stop on master1",
        "pause on master1",
    ]
    assert [str(entry) for entry in its.entries()] == ["haproxy-stop on master2", "test-pods on master1"]
    assert its.forget([]) == its.forget(["master3"]) == []


def test_a_damaged_ledger_is_named(view: Any) -> None:
    (view.state / "faults.json").write_text('[{"id"')
    with pytest.raises(LabError, match=r"faults\.json"):
        heal_open(view, lambda line: None)


KILLED = """
import os, pathlib, signal, sys
from lab.verify.history import History
from lab.verify.ledger import applied
from lab.verify.records import Part
sys.path.insert(0, "tests/verify")
from test_ledger import FakeFault, FakeView
state = pathlib.Path(sys.argv[1])
history = History(state / "history.jsonl"); history.begin(Part("case"))
with applied(FakeFault(), FakeView(state), history):
    os.kill(os.getpid(), getattr(signal, sys.argv[2]))
    signal.pause()
"""


@pytest.mark.parametrize(("number", "left"), [("SIGKILL", ["haproxy-stop"]), ("SIGINT", [])])
def test_a_killed_command_leaves_the_fault_written_down(tmp_path: Path, number: str, left: list[str]) -> None:
    folder = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), number],
        cwd=folder,
        env=environment,
        capture_output=True,
        timeout=30,
    )
    assert done.returncode == -getattr(signal, number), done.stderr
    assert [entry.name for entry in Ledger(tmp_path / "faults.json").entries()] == left
    whole = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [record["event"] for record in whole][:2] == ["begin", "begun"]
