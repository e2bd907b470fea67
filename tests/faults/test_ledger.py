"""A fault is healed whatever happens, and one that was not is healed by the next command."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faking import STOP, Fake

from lab.errors import LabError
from lab.faults.kinds import KINDS
from lab.faults.ledger import LATER, Ledger, Step, applied, heal_machines, heal_open, still_open
from lab.faults.spec import Fault
from lab.identity import Identity
from lab.interrupts import Open
from lab.state import State

CUT = Fault("power-cut", ("master1",))
PODS = Fault("test-pods", ("master1",))

#: Of a kind that is still to come: two victims and a figure.
PARTITION = Fault("partition", ("master1", "master2"), {"loss": 0.5, "side": "left"})


@pytest.fixture
def lab(tmp_path: Path) -> Any:
    return SimpleNamespace(state=State(Identity("ha", tmp_path)))


@pytest.fixture
def book(lab: Any) -> Ledger:
    return Ledger.of(lab.state)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """Stands for all that the tests do."""
    for name, like in (("haproxy-stop",) * 2, ("power-cut",) * 2, ("test-pods",) * 2, ("partition", "haproxy-stop")):
        monkeypatch.setitem(KINDS, name, KINDS[like])
    made = Fake()
    made.take_the_place_of("haproxy-stop", "power-cut", "test-pods", "partition")
    yield made


def kinds(book: Ledger) -> list[str]:
    return [entry.fault.kind for entry in book.entries()]


def test_a_fault_lasts_as_long_as_its_block(lab: Any, book: Ledger, fake: Fake) -> None:
    told: list[Step] = []
    with applied(STOP, lab, told.append):
        assert fake.done == ["prepare", "begin"]
    assert fake.done == ["prepare", "begin", "heal"]
    assert [step.event for step in told] == ["begin", "begun", "heal", "healed"]
    assert (told[1].node, told[1].moment) == ("master1", 12.5)
    assert book.entries() == []


def test_each_of_several_victims_tells_its_own_moment(lab: Any, fake: Fake) -> None:
    told: list[Step] = []
    with applied(PARTITION, lab, told.append):
        pass
    assert [(step.event, step.node) for step in told[:3]] == [("begin", ""), ("begun", "master1"), ("begun", "master2")]


def test_it_is_written_down_whole_before_anything_is_done_and_until_it_is_healed(
    lab: Any, book: Ledger, fake: Fake
) -> None:
    open_then: list[list[Fault]] = []
    fake.seen = lambda: open_then.append([entry.fault for entry in book.entries()])
    with applied(PARTITION, lab):
        pass
    assert open_then == [[PARTITION]] * 3


@pytest.mark.parametrize("error", [LabError("x"), ValueError("x"), KeyboardInterrupt(), SystemExit(3)])
def test_it_is_healed_whatever_happens(lab: Any, book: Ledger, fake: Fake, error: BaseException) -> None:
    with pytest.raises(type(error)), applied(STOP, lab):
        raise error
    assert fake.done[-1] == "heal"
    assert book.entries() == []


@pytest.mark.parametrize("step", ["prepare", "begin"])
def test_a_fault_that_fails_half_way_is_healed(lab: Any, book: Ledger, fake: Fake, step: str) -> None:
    fake.fails = step
    with pytest.raises(LabError, match=step), applied(STOP, lab):
        pytest.fail("the block must not be entered")
    assert fake.done[-1] == "heal"
    assert book.entries() == []


def test_what_cannot_be_healed_stays_open_and_the_next_command_heals_it(lab: Any, book: Ledger, fake: Fake) -> None:
    fake.fails = "heal"
    with pytest.raises(LabError, match="heal failed"), applied(PARTITION, lab):
        pass
    assert [entry.fault for entry in book.entries()] == [PARTITION]
    fake.fails, said = "", []
    assert heal_open(lab, said.append) == ["partition on master1 and master2"]
    assert fake.healed == [PARTITION] and "partition on master1 and master2" in said[0]
    assert book.entries() == []
    assert heal_open(lab, said.append) == []


def test_what_a_program_before_this_one_left_open_is_healed_too(lab: Any, book: Ledger, fake: Fake) -> None:
    book.path.parent.mkdir(parents=True)
    book.path.write_text('[{"id": "a", "name": "haproxy-stop", "node": "master1"}]')
    assert heal_open(lab, lambda line: None) == ["haproxy-stop on master1"]
    assert fake.healed == [STOP] and not book.path.exists()


def test_a_witness_that_cannot_write_is_no_reason_to_leave_it(lab: Any, book: Ledger, fake: Fake) -> None:
    def tell(step: Step) -> None:
        if step.event == "heal":
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"), applied(STOP, lab, tell):
        pass
    assert fake.done[-1] == "heal"
    assert book.entries() == []


def test_what_keeps_it_from_being_healed_names_fault_machine_and_what_to_do(lab: Any, fake: Fake) -> None:
    fake.fails = "heal"
    with pytest.raises(LabError) as caught, applied(STOP, lab):
        pass
    assert caught.value.message == "haproxy-stop on master1 could not be healed: heal failed"
    assert "./inv ssh master1" in caught.value.hint
    assert LATER in caught.value.hint


def test_a_disk_that_is_full_keeps_no_other_fault_open(lab: Any, book: Ledger, fake: Fake) -> None:
    for node in ("master1", "master2"):
        book.open(Fault("haproxy-stop", (node,)))

    def full() -> None:
        fake.seen = lambda: None
        raise OSError(errno.ENOSPC, "No space left on device")

    fake.seen = full
    with pytest.raises(LabError, match=r"haproxy-stop on master1 could not be healed: .*No space left"):
        heal_open(lab, lambda line: None)
    assert [fault.targets for fault in fake.healed] == [("master2",)]


def test_what_is_open_is_named_with_how_it_is_healed_later(book: Ledger) -> None:
    assert book.still_open() == []
    book.open(STOP)
    assert book.still_open() == [Open("haproxy-stop on master1", LATER)]
    book.path.write_text("[")
    (damaged,) = book.still_open()
    assert "faults.json" in damaged.what and "remove the file" in damaged.later


def test_what_a_lab_has_that_it_should_not_have(lab: Any, book: Ledger) -> None:
    for fault in (CUT, PODS):
        book.open(fault)
    lab.state.borrow_settings("article")
    assert [one.what for one in still_open(lab.state)] == [
        "power-cut on master1",
        "test-pods on master1",
        "the load balancer of article",
    ]
    harm = [one.what for one in still_open(lab.state, litter=False)]
    assert harm == ["power-cut on master1", "the load balancer of article"]


def test_one_that_cannot_be_healed_does_not_keep_the_others_open(lab: Any, book: Ledger, fake: Fake) -> None:
    for fault in (STOP, CUT):
        book.open(fault)
    fake.fails = "heal of haproxy-stop"
    with pytest.raises(LabError, match="haproxy-stop on master1"):
        heal_open(lab, lambda line: None)
    assert kinds(book) == ["haproxy-stop"]


def test_what_only_a_cluster_can_be_rid_of_waits_for_it(lab: Any, book: Ledger, fake: Fake) -> None:
    for fault in (PODS, CUT):
        book.open(fault)
    assert heal_machines(lab, lambda line: None) == ["power-cut on master1"]
    assert kinds(book) == ["test-pods"]
    assert heal_open(lab, lambda line: None) == ["test-pods on master1"]


def test_what_was_done_to_a_machine_that_is_no_more_went_with_it(book: Ledger) -> None:
    """Nothing can be undone on the new machine in its place; the pods that a case created are in the cluster."""
    for fault in (STOP, Fault("haproxy-stop", ("master2",)), PARTITION, PODS):
        book.open(fault)
    assert [str(entry) for entry in book.forget(["master1", "worker1"])] == [
        "haproxy-stop on master1",
        "partition on master1",
    ]
    assert [str(entry) for entry in book.entries()] == [
        "haproxy-stop on master2",
        "partition on master2",
        "test-pods on master1",
    ]
    assert book.forget([]) == book.forget(["master3"]) == []


@pytest.mark.parametrize("text", ['[{"id"', '[{"id": "a"}]', "7"])
def test_a_damaged_ledger_is_named(lab: Any, book: Ledger, text: str) -> None:
    book.path.parent.mkdir(parents=True)
    book.path.write_text(text)
    with pytest.raises(LabError, match=r"faults\.json"):
        heal_open(lab, lambda line: None)


def test_a_kind_that_this_program_does_not_know_stays_open(lab: Any, book: Ledger) -> None:
    book.open(Fault("flood", ("master1",)))
    with pytest.raises(LabError, match="flood on master1 could not be healed: no such fault: flood"):
        heal_open(lab, lambda line: None)
    assert kinds(book) == ["flood"]


KILLED = """
import os, pathlib, signal, sys
from types import SimpleNamespace
sys.path.insert(0, "tests")
from faking import Fake
from lab.faults.kinds import KINDS
from lab.faults.ledger import applied
from lab.faults.spec import Fault
from lab.identity import Identity
from lab.state import State
KINDS["partition"] = KINDS["haproxy-stop"]
Fake().take_the_place_of("partition")
lab = SimpleNamespace(state=State(Identity("ha", pathlib.Path(sys.argv[1]))))
with applied(Fault("partition", ("master1", "master2"), {"loss": 0.5, "side": "left"}), lab):
    os.kill(os.getpid(), getattr(signal, sys.argv[2]))
    signal.pause()
"""


@pytest.mark.parametrize(("number", "left"), [("SIGKILL", [PARTITION]), ("SIGINT", [])])
def test_a_killed_command_leaves_the_fault_written_down_whole(
    tmp_path: Path, book: Ledger, lab: Any, fake: Fake, number: str, left: list[Fault]
) -> None:
    folder = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), number],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        timeout=30,
    )
    assert done.returncode == -getattr(signal, number), done.stderr
    assert [entry.fault for entry in book.entries()] == left
    heal_open(lab, lambda line: None)
    assert fake.healed == left, "whoever comes next knows all that it needs"
