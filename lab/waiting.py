"""Waiting for something to become true: always with a deadline, and with what was last seen when it passes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from lab.errors import LabError
from lab.interrupts import waiting
from lab.patience import patience

Seen = TypeVar("Seen")


class WaitTimeout(LabError):
    """The deadline passed, after ``seconds``; ``last`` is what was seen last."""

    def __init__(self, what: str, seconds: float, last: object, hint: str) -> None:
        self.seconds = seconds
        self.last = last
        super().__init__(f"waited {seconds:.0f} s for {what}; last seen: {last}", hint)


def within(seconds: float, what: str, act: Callable[[], object]) -> None:
    """Do what has no deadline of its own, such as a library's call, and return when it is done.

    Raises what it raised, and LabError when it has not ended after ``seconds``: it is left to itself then.
    """
    failures: list[BaseException] = []

    def work() -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001  handed to whoever waits
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    with waiting():
        thread.join(seconds)
    if thread.is_alive():
        raise LabError(f"waited {seconds:.0f} s for {what}, which has not ended")
    if failures:
        raise failures[0]


def wait_for(
    what: str,
    look: Callable[[], Seen],
    good: Callable[[Seen], bool],
    *,
    seconds: float,
    interval: float = 0.2,
    hint: str = "",
) -> Seen:
    """Look every ``interval`` seconds until ``good`` says yes to what was seen, and return that.

    For states that nobody announces; where there is an event, wait for the event. ``seconds`` are an ordinary host's
    (see patience). Raises WaitTimeout.
    """
    seconds *= patience()
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        seen = look()
        if good(seen):
            return seen
        if time.monotonic() >= deadline:
            raise WaitTimeout(what, seconds, seen, hint)
        with waiting():
            pause.wait(interval)
