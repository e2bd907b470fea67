"""Ctrl-C, SIGTERM and SIGHUP, in a program that has something to undo before it may end.

As long as there is nothing to undo, an interrupt ends the program wherever it is. From before something is changed
until it was undone (``held``) an interrupt is noted, and raised only where the program waits (``waiting``), so that it
never falls between the change and what undoes it. What must be done as a whole (``unbroken``), above all the undoing
itself, goes on until its own deadline. Whoever interrupts a second time is told what is still open, and a third time
leaves it so.

All of it happens in the main thread, the only one that Python lets handle signals; lab.parallel ends the others.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from queue import SimpleQueue
from types import FrameType, TracebackType
from typing import NamedTuple

#: What ends a program from outside. Closing a terminal sends SIGHUP, twice where a shell stands between.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: The interrupt, counted from the first, that leaves open what is open.
LEAVES = 3

#: Wakes the main thread and does nothing else. (Nobody else sends it: no socket here asks for urgent data.)
WAKE = signal.SIGURG

#: Seconds after a signal at which the main thread is woken once more, one after the other.
AGAIN = (0.05, 0.2, 1.0)

#: Seconds for what was said to reach the terminal before the program ends.
SAID = 2.0


class Open(NamedTuple):
    """Something that is still to be undone, and ``later``: how that happens should this program not do it."""

    what: str
    later: str

    def __str__(self) -> str:
        return f"{self.what}: {self.later}"


#: Tells what is open at the moment.
StillOpen = Callable[[], Sequence[Open]]


class Mode(Enum):
    """What an interrupt would meet."""

    FREE = auto()  # nothing is to be undone
    HELD = auto()  # something is
    WAITING = auto()  # something is, and here the program may be interrupted
    UNBROKEN = auto()  # something is being done that must come to its end


class Word(Enum):
    """What whoever interrupts is told."""

    NOTHING = auto()
    FIRST_UNDONE = auto()
    STILL_OPEN = auto()


class Answer(NamedTuple):
    """What an interrupt does: the mode and the number of interrupts after it, what is said, is it raised here."""

    mode: Mode
    asked: int
    word: Word
    raised: bool


def answer(mode: Mode, asked: int, *, hangup: bool) -> Answer:
    """What comes of an interrupt in this mode, after ``asked`` others. Pure.

    A hangup after another interrupt counts for nothing: one closed terminal sends several, and nobody reads any more.
    """
    if hangup and asked:
        return Answer(mode, asked, Word.NOTHING, raised=False)
    asked += 1
    if mode is Mode.FREE or asked >= LEAVES:
        return Answer(mode, asked, Word.NOTHING, raised=True)
    if asked > 1:
        return Answer(mode, asked, Word.STILL_OPEN, raised=False)
    if mode is Mode.WAITING:
        return Answer(Mode.HELD, asked, Word.FIRST_UNDONE, raised=True)
    return Answer(mode, asked, Word.FIRST_UNDONE, raised=False)


def told(word: Word, still_open: Sequence[Open]) -> str:
    """What is said, "" for nothing. Pure."""
    if not still_open or word is Word.NOTHING:
        return ""
    if word is Word.FIRST_UNDONE:
        return f"interrupted; undone before the end: {', '.join(one.what for one in still_open)}"
    return f"still open: {'; '.join(map(str, still_open))}. Interrupted once more it stays so"


@dataclass
class _Process:
    """This process's state. Its own steps set ``mode``, the handler alone counts ``asked``."""

    mode: Mode = Mode.FREE
    asked: int = 0
    open: list[StillOpen] = field(default_factory=list)
    say: Callable[[str], object] = lambda text: None
    # A handler may come while the main thread holds any lock, the terminal's too: another thread speaks.
    words: SimpleQueue[Callable[[], object]] = field(default_factory=SimpleQueue)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """What Python calls between two steps of the main thread."""
        self.mode, self.asked, word, raised = answer(self.mode, self.asked, hangup=number == signal.SIGHUP)
        if word is not Word.NOTHING:
            self.words.put(lambda: self.tell(word))
        if raised:
            raise KeyboardInterrupt

    def tell(self, word: Word) -> None:
        """Say it, by what is open now."""
        if text := told(word, list(dict.fromkeys(one for still_open in list(self.open) for one in still_open()))):
            self.say(text)

    @staticmethod
    def wake(arrived: int, main: int) -> None:
        """After each signal wake the main thread once more, for ever.

        Python calls a handler when the main thread comes to its next step. One that has just looked for signals and is
        about to wait for a lock comes to none: the signal wakes nobody any more. ``arrived`` is where each signal is
        noted at once, whatever the main thread does (signal.set_wakeup_fd).
        """
        while True:
            if set(os.read(arrived, 64)) & set(SIGNALS):
                for pause in AGAIN:
                    time.sleep(pause)  # nothing tells that the main thread has begun to wait
                    signal.pthread_kill(main, WAKE)

    def speak(self) -> None:
        """Say what there is to say, for ever."""
        while True:
            self.words.get()()


_process = _Process()


def install(say: Callable[[str], object]) -> None:
    """From now on signals are answered as this module says; what was ignored (nohup, a shell's &) stays ignored.

    ``say`` shows one line, from a thread of its own.
    """
    _process.say = say
    threading.Thread(target=_process.speak, daemon=True).start()
    arrived, note = os.pipe()
    os.set_blocking(note, False)
    signal.set_wakeup_fd(note, warn_on_full_buffer=False)
    signal.signal(WAKE, lambda number, frame: None)
    threading.Thread(target=_process.wake, args=(arrived, threading.get_ident()), daemon=True).start()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _process.handle)


def finish() -> None:
    """Wait until all was said. The program is about to end: an interrupt has nothing left to do."""
    for number in SIGNALS:
        if signal.getsignal(number) == _process.handle:
            signal.signal(number, signal.SIG_IGN)
    said = threading.Event()
    _process.words.put(said.set)
    said.wait(SAID)


def interrupted() -> bool:
    """Was this program asked to end?"""
    return _process.asked > 0


# No generators below: one that an interrupt cut off would run its last lines whenever it is collected.


class held:
    """Inside, interrupts are raised only where the program waits; ``still_open`` tells what is to be undone.

    Opened before anything is changed; all that undoes it lies inside, in an ``unbroken`` block. At the end raises
    KeyboardInterrupt if one came, whatever else went wrong (which is its cause then).
    """

    def __init__(self, still_open: StillOpen) -> None:
        self._still_open = still_open
        self._before = Mode.FREE

    def __enter__(self) -> None:
        self._before = _process.mode
        if _here() and self._before is not Mode.UNBROKEN:
            _process.mode = Mode.HELD
        _process.open.append(self._still_open)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _process.open.remove(self._still_open)
        if not _here() or self._before is Mode.UNBROKEN:
            return
        _process.mode = self._before
        if interrupted() and not isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt from error


class unbroken:
    """Inside, no interrupt is raised but the one that leaves all open. Every step must have a deadline."""

    def __enter__(self) -> None:
        self._before = _process.mode
        if not _here():
            return
        if _process.asked >= LEAVES:
            raise KeyboardInterrupt
        _process.mode = Mode.UNBROKEN

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if _here():
            _process.mode = self._before


class waiting:
    """Where something is held, a place at which an interrupt is raised: nothing half done is left behind by that."""

    def __enter__(self) -> None:
        self._ours = _here() and _process.mode is Mode.HELD
        if not self._ours:
            return
        _process.mode = Mode.WAITING
        # In this order: one that comes between the two is raised by the handler.
        if interrupted():
            _process.mode = Mode.HELD
            raise KeyboardInterrupt

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ours and _process.mode is Mode.WAITING:
            _process.mode = Mode.HELD


def _here() -> bool:
    """Is this the main thread? Others see no signals."""
    return threading.current_thread() is threading.main_thread()
