"""``./inv verify`` as a process, on a lab that is a folder: its fault is a file, its probes tell what a good lab would.

    python -m tests.verify.verifying STATE COMMAND [WORDS …]

All but machines and probes is the product's own. The fault holds while the file ``broken`` is there; its heal waits,
in the way that the file ``waits`` names, until ``heal-may-end`` is there, then takes it away. The file ``said`` tells
what was done, a word a line.
"""

from __future__ import annotations

import runpy
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lab.command import run
from lab.commands import verify
from lab.errors import LabError
from lab.faults.kind import Kind, Moments
from lab.faults.kinds import KINDS
from lab.faults.spec import Fault
from lab.identity import Identity
from lab.operations import changing
from lab.parallel import workers
from lab.stage import Stage
from lab.state import State
from lab.verify import cases, runner
from lab.verify.case import Aimed, Case
from lab.verify.checks.client import STEADY_CLIENT
from lab.verify.pace import NATIVE
from lab.verify.probes import CONNECTIONS
from lab.waiting import wait_for
from tests.faking import STOP
from tests.verify.test_runner import FakeProbes

#: Seconds for whatever is waited for: no test comes near them.
LONG = 60.0


class FileFault:
    """Breaks a lab that is a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def say(self, word: str) -> None:
        with (self.folder / "said").open("a") as file:
            file.write(f"{word}\n")

    def prepare(self, hands: Any, fault: Fault) -> None:
        self.say("prepare")

    def begin(self, hands: Any, fault: Fault) -> Moments:
        (self.folder / "broken").touch()
        self.say("broken")
        return {}

    def heal(self, hands: Any, fault: Fault) -> None:
        self.say("healing")
        how = self.folder / "waits"
        WAITS[how.read_text() if how.exists() else "not"](self.folder / "heal-may-end")
        (self.folder / "broken").unlink(missing_ok=True)
        self.say("healed")


def _await(file: Path) -> None:
    wait_for(f"{file}", file.exists, bool, seconds=LONG, interval=0.02)


def _command(file: Path) -> None:
    run(["sh", "-c", f"until [ -e {file} ]; do sleep 0.02; done"], timeout=LONG).check()


def _thread(file: Path) -> threading.Thread:
    thread = threading.Thread(target=_await, args=(file,), daemon=True)
    thread.start()
    return thread


def _event(file: Path) -> None:
    event = threading.Event()
    threading.Thread(target=lambda: (_await(file), event.set()), daemon=True).start()
    event.wait(LONG)


def _future(file: Path) -> None:
    with workers(1) as pool:
        pool.submit(_command, file).result()


def _fails(file: Path) -> None:
    _await(file)
    raise LabError("master1 does not answer", "look at master1")


WAITS = {
    "not": lambda file: None,
    "command": _command,
    "endless command": lambda file: run(["sh", "-c", f"until [ -e {file} ]; do sleep 0.02; done"]).check(),
    "event": _event,
    "future": _future,
    "join": lambda file: _thread(file).join(),
    "fails": _fails,
}


def lab(folder: Path) -> Any:
    """The lab of that folder, and it alone."""
    state = State(Identity("ha", folder))
    state.write("stage", Stage.LOADBALANCER)
    keepalived = SimpleNamespace(preempt=True)
    masters = tuple(SimpleNamespace(name=f"master{n}", priority=200 - n) for n in (1, 2))
    topology = SimpleNamespace(
        workers=(), masters=masters, vip="10.0.0.9", port=1, definition=SimpleNamespace(keepalived=keepalived)
    )
    provider = SimpleNamespace(name="fake", capabilities=frozenset())
    return SimpleNamespace(
        state=state,
        identity=state.identity,
        topology=topology,
        provider=provider,
        machines={},
        kubernetes=False,
        ranking=masters,
        pace=NATIVE,
    )


def main(folder: Path, words: list[str]) -> None:
    """Be the program, with these words."""
    made = lab(folder)
    fault = FileFault(folder)

    def broken(stage: Any) -> None:
        stage.history.wait(lambda records: (folder / "case-may-end").exists(), LONG)

    cases.CASES["haproxy-stop"] = Case(
        name="haproxy-stop",
        title="a file is there",
        shows="nothing",
        headline="",
        faults=(Aimed(STOP.kind, lambda stage: STOP.targets),),
        probes=(CONNECTIONS,),
        meanwhile=(broken,),
        checks=(STEADY_CLIENT,),
    )
    changing.open_lab = lambda name, definition: made  # type: ignore[assignment]
    verify.view = lambda lab: made  # type: ignore[assignment]
    verify.doubt = lambda lab: ""
    verify.refuse_endless = lambda chosen, view: None
    KINDS[STOP.kind] = Kind(STOP.kind, fault.begin, fault.heal, prepare=fault.prepare)
    runner.Probes = FakeProbes  # type: ignore[assignment, misc]
    runner.STEADY, runner.SETTLE = 0.05, 10.0
    sys.argv = ["inv", *words]
    runpy.run_module("lab.program", run_name="__main__")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
