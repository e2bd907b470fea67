"""An ``up`` that is ended at a moment of its way, as by a crash or a Ctrl-C."""

from __future__ import annotations

import re
import signal
import time
from dataclasses import dataclass

from running import Done, Inv, Running, until

#: Seconds for a phase to begin, on a host that others use too.
PHASE = 600.0


@dataclass(frozen=True)
class Moment:
    """When ``up`` is killed: as a machine's phase begins, or some seconds after the start."""

    machine: str = ""
    phase: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.machine} {self.phase} begins" if self.phase else f"{self.seconds:.1f} s after the start"


def kill_at(inv: Inv, moment: Moment, *words: str, number: signal.Signals = signal.SIGKILL) -> Done:
    """Start ``up`` (with more ``words``) and end the program, and it alone, at a moment.

    An ``up`` that was quicker than a time on the clock has just ended well; a phase must begin.
    """
    with inv.start("up", "--provider", "lxc", "--verbose", *words) as running:
        began = re.compile(rf"^ *[\d.]+ s  {moment.machine} +{moment.phase} …$", re.MULTILINE)
        if moment.phase:
            until(
                lambda: running.process.poll() is not None or bool(began.search(running.out)),
                bool,
                f"{moment}: {running.command}",
                PHASE,
                interval=0.02,
            )
        else:
            _let_run(running, moment.seconds)
        running.signal(number)
        done = running.wait(60)
    if moment.phase:
        assert began.search(done.out), f"{moment} never: {done}"
    ended = {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130}[number]
    assert done.status == ended or (done.status == 0 and not moment.phase), f"{number.name} at {moment}: {done}"
    return done


def _let_run(running: Running, seconds: float) -> None:
    left = running.started + seconds - time.monotonic()
    time.sleep(max(0.0, left))  # no wait for something: the moment itself is a time on the clock
