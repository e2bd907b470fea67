"""The lock of a lab, however commands meet: nobody loses what was written under it, and nothing is left for nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from interleaving import Act, Tell, walking

from lab import context
from lab.commands import destroy
from lab.errors import LabError
from lab.identity import Identity
from lab.operations import removal
from lab.providers.remains import Remains
from lab.stage import Stage
from lab.state import State


def of(folder: Path) -> State:
    return State(Identity("ha", folder))


def up(folder: Path, tell: Tell) -> str:
    """Writes how far the lab is, and looks at the end whether that is still so."""
    state = of(folder)
    try:
        with state.lock():
            tell("has it")
            state.write("stage", Stage.MACHINES)
            if state.stage is not Stage.MACHINES:
                return "lost what it wrote"
    except LabError as error:
        return error.message
    return "done"


def destroy_all(folder: Path, tell: Tell) -> str:
    """``destroy --all`` on a host without machines."""

    def remove_all(*_: object) -> list[str]:
        tell("has it")
        return []

    os.environ["HALAB_CACHE"] = str(folder.parent / "cache")
    context.FOLDER = folder
    removal.MADE_BY_UP = ("stage",)  # fewer files, fewer ways to meet
    State.sockets = property(lambda state: folder.parent / "sockets")  # type: ignore[assignment, method-assign]
    Remains.remove_all = remove_all  # type: ignore[method-assign]
    try:
        destroy.run("ha", "", everything=True)
    except LabError as error:
        return error.message
    return "done"


def nothing(folder: Path, tell: Tell) -> str:
    """A command that finds, under the lock, that it has nothing to do."""
    try:
        with of(folder).lock():
            tell("has it")
    except LabError as error:
        return error.message
    return "done"


BUSY = "another command is changing lab ha"


def meet(folder: Path, acts: Sequence[tuple[str, Act]], there: bool, stops: tuple[int, int]) -> tuple[bool, bool]:
    """The first goes so many steps, then the second so many, then the first and the second to their ends.

    Returns whether each had still something to do when it was stopped.
    """
    folder.mkdir()
    if there:
        of(folder).write("runs/1-up/phases.json", "{}")
    with walking(folder, acts) as ((first, second), told):
        first.run(stops[0])
        second.run(stops[1])
        stopped = not first.outcome, not second.outcome
        first.run()
        second.run()
    before = first.steps[stops[0] :][:1], second.steps[stops[1] :][:1]
    what = f"{first.name} stopped before {before[0]}, {second.name} before {before[1]}"
    for walker in (first, second):
        assert walker.outcome in ("done", BUSY), f"{what}: {walker.name} {walker.outcome}"
    assert "done" in (first.outcome, second.outcome), f"{what}: each was refused because of the other"
    kept = [name for name in (line.partition(" ")[0] for line in told) if name != "nothing"]
    if kept and kept[-1].startswith("up"):
        assert of(folder).stage is Stage.MACHINES, f"{what}: what up wrote is gone"
    elif kept or not there:
        assert list(folder.iterdir()) == [], f"{what}: something is left of a lab that is not there"
    else:
        assert of(folder).runs.is_dir(), f"{what}: a command with nothing to do has removed something"
    return stopped


DESTROY, UP, NOTHING = ("destroy", destroy_all), ("up", up), ("nothing", nothing)


@pytest.mark.parametrize(
    ("pair", "there"),
    [
        ([DESTROY, UP], True),
        ([DESTROY, UP], False),
        ([UP, DESTROY], True),
        ([NOTHING, UP], False),
        ([NOTHING, NOTHING], False),
    ],
    ids=lambda given: ", ".join(name for name, _ in given) if isinstance(given, list) else "there" if given else "not",
)
def test_however_two_commands_meet_nothing_is_lost_and_nothing_is_left(
    pair: list[tuple[str, Act]], there: bool, tmp_path: Path
) -> None:
    first, met = 0, 0
    more = True
    while more:
        second, going = 0, True
        while going:
            more, going = meet(tmp_path / f"{first}-{second}", pair, there, (first, second))
            second, met = second + 1, met + 1
        first += 1
    assert first > 5, "each was stopped before each of its steps"
    assert met > 30


def test_a_command_that_was_killed_holds_nobody_up(tmp_path: Path) -> None:
    with walking(tmp_path, [("up", up)]) as ((killed,), told):
        while not told:
            killed.step()
        with pytest.raises(LabError, match=BUSY), of(tmp_path).lock():
            pass
        killed.process.kill()
        killed.process.join()
        with of(tmp_path).lock():
            pass
    assert list(tmp_path.iterdir()) == []


def test_another_labs_folder_stays_where_it_is(tmp_path: Path) -> None:
    other = State(Identity("other", tmp_path))
    other.write("stage", Stage.MACHINES)
    with suppress(ZeroDivisionError), of(tmp_path).lock():
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / ".lab").iterdir()] == ["other"]
    assert other.stage is Stage.MACHINES
