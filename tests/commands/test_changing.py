"""Every command that changes a lab names what is open in it at the end, whatever way it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.commands import power, verify
from lab.errors import LabError
from lab.identity import Identity
from lab.stage import Stage
from lab.state import State
from lab.verify.ledger import LATER, Ledger
from tests.verify.test_ledger import FakeFault

COMMANDS: dict[str, Callable[[], None]] = {
    "halt": lambda: power.halt("", ""),
    "resume": lambda: power.resume("", ""),
    "power off": lambda: power.power("", "", "off", "master2"),
    "snapshot": lambda: power.snapshot("", "", "before", ""),
    "restore": lambda: power.restore("", "", "before", ""),
    "verify": lambda: verify.run("", "", ["haproxy-stop"]),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_a_command_that_gets_nowhere_names_what_is_open(
    command: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = State(Identity("ha", tmp_path))
    state.write("stage", Stage.WORKERS)
    Ledger(state.folder / "faults.json").open(FakeFault())

    def fails(*_: object, **__: object) -> None:
        raise LabError("the host is ill")

    lab = SimpleNamespace(
        state=state, identity=state.identity, kubernetes=False, machines={}, topology=SimpleNamespace(masters=())
    )
    keeper = SimpleNamespace(snapshot=fails, restore=fails)
    for module in (power, verify):
        monkeypatch.setattr(module, "open_lab", lambda *_: lab)
        monkeypatch.setattr(module, "view", lambda _: None)
    monkeypatch.setattr(power, "snapshots", lambda _: keeper)
    for name in ("halt_lab", "resume_lab", "switch", "heal_open"):
        monkeypatch.setattr(power, name, fails)
    monkeypatch.setattr(verify, "new_folder", fails)
    with pytest.raises(LabError, match="the host is ill"):
        command()
    (entry,) = Ledger(state.folder / "faults.json").entries()
    assert f"still open: {entry}: {LATER}" in capsys.readouterr().err
