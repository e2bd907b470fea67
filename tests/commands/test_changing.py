"""Every command that changes a lab names what is open in it at the end, whatever way it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab import context
from lab.commands import bench, power, verify
from lab.errors import LabError
from lab.faults.ledger import LATER, Ledger
from lab.identity import Identity
from lab.operations import snapshots
from lab.plan.site import ContainerSite
from lab.project import DEFAULT_DEFINITION
from lab.providers import choice
from lab.stage import Stage
from lab.state import State
from tests.faking import STOP

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
    Ledger(state.folder / "faults.json").open(STOP)

    def fails(*_: object, **__: object) -> None:
        raise LabError("the host is ill")

    lab = SimpleNamespace(
        state=state,
        identity=state.identity,
        kubernetes=False,
        machines={},
        topology=SimpleNamespace(etcd_members=(), ranked=()),
    )
    keeper = SimpleNamespace(snapshot=fails, restore=fails)
    monkeypatch.setattr("lab.operations.changing.open_lab", lambda *_: lab)
    monkeypatch.setattr(verify, "view", lambda lab: lab)
    monkeypatch.setattr(snapshots, "snapshots", lambda _: keeper)
    monkeypatch.setattr(snapshots, "heal_open", fails)
    monkeypatch.setattr(snapshots, "heal_machines", fails)
    for name in ("halt_lab", "resume_lab", "switch"):
        monkeypatch.setattr(power, name, fails)
    monkeypatch.setattr(verify, "new_folder", fails)
    with pytest.raises(LabError, match="the host is ill"):
        command()
    (entry,) = Ledger(state.folder / "faults.json").entries()
    assert f"still open: {entry}: {LATER}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [*COMMANDS.values(), lambda: bench.run("failover", 1, "", "", "", [str(DEFAULT_DEFINITION)])],
    ids=[*COMMANDS.keys(), "bench failover"],
)
def test_a_command_that_a_destroy_overtakes_finds_no_lab(
    command: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before the command had the lock is no lab's any more: nothing may be made again from it."""
    state = State(Identity("ha", tmp_path))
    state.write("stage", Stage.WORKERS)
    state.write("definition.yaml", DEFAULT_DEFINITION.read_text())
    state.store_site(ContainerSite(state.identity))
    acquire = State._acquire

    def overtaken(self: State) -> object:
        lock = acquire(self)
        self.clear()
        return lock

    touched: list[str] = []

    class Provider:
        """Tells whatever is asked of it."""

        name, capabilities = "fake", frozenset[str]()

        def __getattr__(self, name: str) -> object:
            touched.append(name)
            raise AttributeError(name)

    monkeypatch.setattr(context, "FOLDER", tmp_path)
    monkeypatch.setattr(choice, "make", lambda *_: Provider())
    monkeypatch.setattr(
        snapshots, "snapshots", lambda _: SimpleNamespace(snapshot=touched.append, restore=touched.append)
    )
    monkeypatch.setattr(State, "_acquire", overtaken)
    with pytest.raises(LabError, match="there is no lab ha"):
        command()
    assert touched == []
    assert not state.folder.exists()
