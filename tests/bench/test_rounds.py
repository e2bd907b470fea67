"""Rounds of a bench that fail or are interrupted: what is kept, what stays, what is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from listening import Deaf

from lab.bench import bringup
from lab.bench.bringup import UpBench
from lab.commands import bench as command
from lab.definition import parse
from lab.errors import LabError, UsageError
from lab.identity import Identity
from lab.plan.site import ContainerSite, Site
from lab.state import State
from lab.timeline import Timeline

DEFINITION = "name: ha\nnodes: [{name: m1, role: master}, {name: w1, role: worker}]\n"

#: Brings the lab up in the round of that number.
Up = Callable[[int], None]


class Labs:
    """Labs that come up as ``up`` says, round by round; counts what was built, brought up and removed."""

    def __init__(self, place: Path, up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rounds, self.removed, self.built = 0, 0, 0
        state = State(Identity("ha-bench", place))
        labs = self

        class Bringup:
            def __init__(self, *given: object) -> None:
                (self.timeline,) = (one for one in given if isinstance(one, Timeline))

            def run(self) -> None:
                labs.rounds += 1
                with self.timeline.phase("init", "m1"):
                    up(labs.rounds)

        def make_site(*_: object, **__: object) -> Site:
            labs.built += 1
            assert labs.rounds == 0, "what is built is built before the first round"
            return ContainerSite(state.identity)

        monkeypatch.setattr(bringup, "Bringup", Bringup)
        monkeypatch.setattr(bringup, "make_site", make_site)
        self.bench = UpBench(parse(DEFINITION), DEFINITION, state, "auto", Deaf(), self._remove)

    def _remove(self, _state: State) -> None:
        self.removed += 1


def at(number: int, error: BaseException) -> Up:
    def up(current: int) -> None:
        if current == number:
            raise error

    return up


@pytest.mark.parametrize("rounds", [-1, 0, 1001, 10**20])
def test_rounds_that_nobody_waits_for_are_wrong_usage(rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(*_: object) -> None:
        raise AssertionError("it was begun")

    for bench in ("_up", "_failover"):
        monkeypatch.setattr(command, bench, measured)
    for what in ("up", "failover"):
        with pytest.raises(UsageError, match=rf"--rounds {rounds}: out of range") as caught:
            command.run(what, rounds, "", "", "", [])
        assert "1 to 1000" in caught.value.hint


def test_every_round_begins_with_no_lab_and_a_full_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labs = Labs(tmp_path, lambda number: None, monkeypatch)
    found = list(labs.bench.run(3))
    named = ["destroy", "m1 init", "of it kubeadm, master after master", "of it processors busy", "total"]
    assert [sorted(figures) for figures in found] == [named] * 3
    assert (labs.removed, labs.built) == (3, 1)


def test_a_round_that_failed_is_told_and_its_lab_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labs = Labs(tmp_path, at(2, LabError("keepalived is gone")), monkeypatch)
    rounds = labs.bench.run(3)
    next(rounds)
    with pytest.raises(LabError, match="round 2 failed: keepalived is gone") as caught:
        next(rounds)
    assert "./inv logs --lab ha-bench" in caught.value.hint
    assert labs.removed == 1, "the first round's alone"


def test_an_interrupted_round_leaves_no_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labs = Labs(tmp_path, at(2, KeyboardInterrupt()), monkeypatch)
    rounds = labs.bench.run(3)
    next(rounds)
    with pytest.raises(KeyboardInterrupt):
        next(rounds)
    assert labs.removed == 2


def test_a_lab_that_is_there_is_not_measured_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labs = Labs(tmp_path, lambda number: None, monkeypatch)
    labs.bench.state.store_site(ContainerSite(labs.bench.state.identity))
    with pytest.raises(LabError, match="there is a lab ha-bench already"):
        next(labs.bench.run(1))
    assert (labs.rounds, labs.removed) == (0, 0)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), LabError("round 3 failed")], ids=lambda one: type(one).__name__)
def test_finished_rounds_are_kept_and_shown(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(self: UpBench, rounds: int) -> Iterator[dict[str, float]]:
        yield {"total": 70.0}
        yield {"total": 66.0}
        raise error

    monkeypatch.setattr(UpBench, "run", run)
    monkeypatch.setattr(command, "FOLDER", tmp_path)
    (tmp_path / "ha.yaml").write_text(DEFINITION)
    with pytest.raises(type(error)):
        command.run("up", 5, "", str(tmp_path / "ha.yaml"), "lxc", [])
    assert "up, 2 rounds" in capsys.readouterr().out
    (kept,) = (tmp_path / ".lab/ha-bench/runs").glob("*-bench-up")
    assert json.loads((kept / "bench.json").read_text())["figures"]["total"]["values"] == [70.0, 66.0]
    assert (kept / "bench.svg").is_file()


@pytest.mark.parametrize(
    ("what", "rounds", "provider", "settings", "said"),
    [
        ("up", 0, "", [], "--rounds 0"),
        ("down", 1, "", [], "bench down: no such bench"),
        ("up", 1, "vmware", [], "--provider vmware"),
        ("up", 1, "", ["a.yaml"], "--settings"),
        ("failover", 1, "lxc", [], "--provider"),
    ],
)
def test_wrong_words_are_refused(what: str, rounds: int, provider: str, settings: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        command.run(what, rounds, "", "", provider, settings)
