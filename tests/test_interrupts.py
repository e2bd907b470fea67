"""What an interrupt does, by what it meets: a table, and the blocks that make the table's modes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from interrupting import answered, interrupt

from lab import interrupts
from lab.command import run
from lab.errors import LabError
from lab.interrupts import Answer, Mode, Open, Word, answer, held, told, unbroken, waiting
from lab.parallel import workers

FOLDER = Path(__file__).resolve().parents[1]

FREE, HELD, WAITING, UNBROKEN = Mode.FREE, Mode.HELD, Mode.WAITING, Mode.UNBROKEN
NOTHING, FIRST, STILL = Word.NOTHING, Word.FIRST_UNDONE, Word.STILL_OPEN


@pytest.mark.parametrize(
    ("mode", "asked", "hangup", "then"),
    [
        # Nothing to undo: it ends the program where it is, each time.
        (FREE, 0, False, (FREE, 1, NOTHING, True)),
        (FREE, 0, True, (FREE, 1, NOTHING, True)),
        (FREE, 1, False, (FREE, 2, NOTHING, True)),
        (FREE, 2, False, (FREE, 3, NOTHING, True)),
        # Something to undo: raised in a wait only, and once.
        (WAITING, 0, False, (HELD, 1, FIRST, True)),
        (WAITING, 0, True, (HELD, 1, FIRST, True)),
        (HELD, 0, False, (HELD, 1, FIRST, False)),
        (HELD, 0, True, (HELD, 1, FIRST, False)),
        (UNBROKEN, 0, False, (UNBROKEN, 1, FIRST, False)),
        (UNBROKEN, 0, True, (UNBROKEN, 1, FIRST, False)),
        # A second one is told.
        (HELD, 1, False, (HELD, 2, STILL, False)),
        (UNBROKEN, 1, False, (UNBROKEN, 2, STILL, False)),
        (WAITING, 1, False, (WAITING, 2, STILL, False)),
        # A third one leaves, and so does every further one.
        (HELD, 2, False, (HELD, 3, NOTHING, True)),
        (UNBROKEN, 2, False, (UNBROKEN, 3, NOTHING, True)),
        (WAITING, 2, False, (WAITING, 3, NOTHING, True)),
        (UNBROKEN, 3, False, (UNBROKEN, 4, NOTHING, True)),
        # A terminal that is closed after an interrupt says nothing new.
        (FREE, 1, True, (FREE, 1, NOTHING, False)),
        (HELD, 1, True, (HELD, 1, NOTHING, False)),
        (UNBROKEN, 1, True, (UNBROKEN, 1, NOTHING, False)),
        (UNBROKEN, 2, True, (UNBROKEN, 2, NOTHING, False)),
    ],
)
def test_what_an_interrupt_does(mode: Mode, asked: int, hangup: bool, then: tuple[Mode, int, Word, bool]) -> None:
    assert answer(mode, asked, hangup=hangup) == Answer(*then)


OPEN = [Open("haproxy-stop on master1", "the next one heals it"), Open("pause on master2", "so too")]


@pytest.mark.parametrize(
    ("word", "still_open", "said"),
    [
        (NOTHING, OPEN, ""),
        (FIRST, [], ""),
        (STILL, [], ""),
        (FIRST, OPEN, "interrupted; undone before the end: haproxy-stop on master1, pause on master2"),
        (
            STILL,
            OPEN,
            "still open: haproxy-stop on master1: the next one heals it; pause on master2: so too. "
            "Interrupted once more it stays so",
        ),
    ],
)
def test_what_is_said(word: Word, still_open: list[Open], said: str) -> None:
    assert told(word, still_open) == said


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[interrupts._Process]:
    with answered(monkeypatch) as fresh:
        yield fresh


def nothing() -> list[Open]:
    return []


def test_it_falls_into_the_next_wait_and_not_between(process: interrupts._Process) -> None:
    steps: list[str] = []
    with pytest.raises(KeyboardInterrupt), held(nothing):
        interrupt()
        steps.append("after it")
        with waiting():
            steps.append("the wait")
    assert steps == ["after it"]


def test_a_wait_is_ended_by_it(process: interrupts._Process) -> None:
    threading.Timer(0.1, interrupt).start()
    with pytest.raises(KeyboardInterrupt), held(nothing):
        run(["sleep", "60"], timeout=30)


def test_what_is_unbroken_ends_first_also_where_it_waits(process: interrupts._Process) -> None:
    steps: list[str] = []
    with pytest.raises(KeyboardInterrupt), held(nothing):
        with unbroken():
            interrupt()
            with waiting(), held(nothing), waiting():
                steps.append("the undoing's own wait")
            steps.append("undone")
        steps.append("after it")
    assert steps == ["the undoing's own wait", "undone", "after it"]


def test_the_third_is_raised_anywhere_and_nothing_is_undone_after_it(process: interrupts._Process) -> None:
    with pytest.raises(KeyboardInterrupt), held(nothing), unbroken():
        interrupt()
        interrupt()
        try:
            interrupt()
            pytest.fail("it goes on")
        finally:
            with pytest.raises(KeyboardInterrupt), unbroken():
                pytest.fail("something is undone")
    assert process.asked == 3


def test_whatever_else_went_wrong_is_its_cause(process: interrupts._Process) -> None:
    with pytest.raises(KeyboardInterrupt) as caught, held(nothing):
        interrupt()
        raise LabError("it cannot be healed")
    assert str(caught.value.__cause__) == "it cannot be healed"


def test_without_one_nothing_is_changed(process: interrupts._Process) -> None:
    with held(nothing), unbroken(), waiting():
        pass
    with pytest.raises(LabError), held(nothing):
        raise LabError("no")
    assert process.mode is FREE


def test_a_thread_that_waits_or_holds_changes_nothing_for_the_main_one(process: interrupts._Process) -> None:
    seen: list[Mode] = []

    def work() -> None:
        with held(nothing), unbroken(), waiting():
            seen.append(process.mode)

    with held(nothing):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        seen.append(process.mode)
    assert seen == [HELD, HELD]


def test_the_commands_of_an_interrupted_pool_end_and_those_of_other_threads_do_not(
    process: interrupts._Process,
) -> None:
    results = []
    other = threading.Thread(target=lambda: results.append(run(["sh", "-c", "sleep 1; echo whole"])))
    other.start()
    threading.Timer(0.2, interrupt).start()
    with pytest.raises(KeyboardInterrupt), workers(1) as pool:
        pool.submit(run, ["sleep", "60"]).result()
    other.join()
    assert results[0].stdout == "whole\n"


def test_all_that_was_said_is_said_before_the_end(process: interrupts._Process) -> None:
    said: list[str] = []
    process.say = said.append
    threading.Thread(target=process.speak, daemon=True).start()
    with pytest.raises(KeyboardInterrupt), held(lambda: OPEN[:1]), held(lambda: OPEN), unbroken():
        interrupt()
        interrupt()
        interrupts.finish()
    assert said == [told(FIRST, OPEN), told(STILL, OPEN)], "each once, whoever holds it"


#: Waits for a lock that nobody gives back, and is interrupted in the moment in which the kernel wakes nobody by that:
#: the main thread has looked for signals, and has not begun to wait. Another thread that takes the signal is the same.
MISSED = """
import signal, threading
from lab import interrupts
interrupts.install(print)
lock = threading.Lock()
lock.acquire()
def strike():
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
threading.Timer(0.2, strike).start()
try:
    print("given" if lock.acquire(timeout=20) else "not woken")
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_that_came_just_before_the_program_waits_ends_the_wait_too() -> None:
    done = run([sys.executable, "-c", MISSED], cwd=FOLDER, timeout=60)
    assert done.check().stdout == "interrupted\n"
