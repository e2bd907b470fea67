"""Interrupts a fault at every step of Python that it goes through, one after another, and tells where it stayed.

    python -m tests.verify.every_step FOLDER INTERRUPTS SEED

A step is an instruction of the modules below, which is where Python can call a signal's handler. INTERRUPTS is how many
come in one run: the first at each step in turn, the others at later ones that a die of this SEED chooses. Prints JSON:
how many runs there were, and what was wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

from lab import interrupts
from lab.faults import ledger
from lab.faults.kind import Moments
from lab.faults.ledger import Ledger, Step, applied
from lab.faults.spec import Fault
from lab.identity import Identity
from lab.interrupts import waiting
from lab.state import State
from lab.verify import history
from lab.verify.history import History
from lab.verify.records import FaultStep, Part
from tests.faking import STOP, Fake

STEPPED = {module.__file__ for module in (contextlib, history, interrupts, ledger)} | {__file__}


class Steps:
    """Counts steps, and interrupts at the chosen ones."""

    def __init__(self, chosen: set[int]) -> None:
        self.chosen, self.count = chosen, 0

    def trace(self, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in STEPPED:
            return None
        frame.f_trace_opcodes = True
        self.count += 1
        if self.count in self.chosen:
            os.kill(os.getpid(), signal.SIGINT)
        return self.trace


class Breakable(Fake):
    """Is whole, half broken or broken; making and healing it wait for something, as commands do."""

    state = "whole"

    def begin(self, hands: Any, fault: Fault) -> Moments:
        self.state = "half broken"
        with waiting():
            self.state = "broken"
        return {}

    def heal(self, hands: Any, fault: Fault) -> None:
        if self.state != "half broken":  # whoever was cut off in the middle may go on, and break it after the heal
            with waiting():
                self.state = "whole"


def run(folder: Path, chosen: set[int]) -> tuple[int, str]:
    """One fault, interrupted at the chosen steps: how many there were, and what is wrong ("" for nothing)."""
    interrupts._process.__init__()  # type: ignore[misc]  # what this process is told, it is told afresh
    fault, steps = Breakable(), Steps(chosen)
    lab = SimpleNamespace(state=State(Identity("ha", folder)))
    fault.take_the_place_of()
    raised, went_on = False, []
    with History(folder / "history.jsonl") as written:
        written.begin(Part("case"))
        sys.settrace(steps.trace)
        try:
            fault_and_wait(lab, written, went_on)
        except KeyboardInterrupt:
            raised = True
        finally:
            sys.settrace(None)
    if fault.state != "whole":
        return steps.count, f"it is {fault.state}"
    if Ledger.of(lab.state).entries():
        return steps.count, "the ledger still has it"
    if any(went_on):
        return steps.count, "a wait went on"
    if not raised and steps.count >= min(chosen):
        return steps.count, "the interrupt was lost"
    return steps.count, ""


def fault_and_wait(lab: Any, written: History, went_on: list[bool]) -> None:
    """What a case does; whether a wait begins that an interrupt should have kept from it is put into ``went_on``."""

    def tell(step: Step) -> None:
        written.add(FaultStep(event=step.event, id=step.id, fault=step.fault, silences=False))

    with applied(STOP, lab, tell):
        with waiting():
            went_on.append(interrupts.interrupted())
        written.wait(lambda records: False, 0.001)


def main(folder: Path, number: int, seed: int) -> None:
    """All runs."""
    signal.signal(signal.SIGINT, interrupts._process.handle)
    os.fsync = lambda _: None  # type: ignore[assignment]
    die, wrong, first = random.Random(seed), [], 0
    length, _ = run(folder, {10**9})
    while first < length:
        first += 1
        chosen = {first, *(die.randint(first, length) for _ in range(number - 1))}
        _, found = run(folder, chosen)
        if found:
            wrong.append(f"{sorted(chosen)}: {found}")
            (State(Identity("ha", folder)).folder / "faults.json").unlink(missing_ok=True)
    json.dump({"runs": first, "wrong": wrong}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
