"""A run without a lab: probes that tell what they are told to, in real time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.errors import LabError
from lab.faults.kinds import KINDS
from lab.faults.ledger import Ledger
from lab.faults.spec import Fault
from lab.identity import Identity
from lab.state import State
from lab.verify import cases, runner
from lab.verify.case import Action, Aimed, Case, Needs
from lab.verify.cases import named, usual
from lab.verify.checks.client import STEADY_CLIENT
from lab.verify.checks.vip import STEADY_HOLDER
from lab.verify.history import History, load
from lab.verify.pace import NATIVE
from lab.verify.probes import CONNECTIONS
from lab.verify.records import Holder, Phase, Probe, Record
from lab.verify.stage import Stage
from lab.verify.verdict import Outcome
from tests.faking import STOP, Fake

#: A fault on a machine that needs not be looked for.
ON_MASTER1 = (Aimed("haproxy-stop", lambda stage: ("master1",)),)


class FakeProbes:
    """Tells fifty good connections a second and that the first master holds the VIP; ``failing`` is how they fail."""

    failing = ""
    connecting = True

    def __init__(self, view: Any, history: Any) -> None:
        self.history, self.ended = history, threading.Event()
        self.thread = threading.Thread(target=self.tell, daemon=True)

    def clocks(self, *nodes: str) -> None:
        """All clocks are this host's."""

    def start(self, probe: object) -> None:
        self.thread.start()

    def tell(self) -> None:
        number, begin = 0, time.time()
        while not self.ended.wait(max(0.0, begin + number / 50 - time.time())):
            at = begin + number / 50
            if self.failing.startswith("timeout"):  # told when its patience is over, 50 connections later
                self.history.add(Probe(source="worker1", t=at - 1.0, latency=1.0, late=0.0, outcome=self.failing))
            else:
                outcome = self.failing or "ok"
                self.history.add(Probe(source="worker1", t=at, latency=0.001, late=0.0, outcome=outcome))
            if number % 5 == 0:
                for node, holds in (("master1", True), ("master2", False)):
                    self.history.add(Holder(source=node, t=at, holds=holds, why="beat"))
            number += 1

    def check(self) -> None:
        """They never end by themselves."""

    def stop(self) -> None:
        self.ended.set()
        if self.thread.is_alive():
            self.thread.join(5)


@pytest.fixture
def view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(runner, "Probes", FakeProbes)
    monkeypatch.setattr(runner, "STEADY", 1.2)
    monkeypatch.setattr(runner, "SETTLE", 2.0)
    keepalived = SimpleNamespace(preempt=True)
    ranking = tuple(SimpleNamespace(name=f"master{n}", priority=200 - n) for n in (1, 2))
    topology = SimpleNamespace(
        workers=(), ranked=(), vip="10.0.0.9", port=1, definition=SimpleNamespace(keepalived=keepalived)
    )
    provider = SimpleNamespace(name="fake", capabilities=frozenset())
    yield SimpleNamespace(
        state=State(Identity("ha", tmp_path)),
        ranking=ranking,
        topology=topology,
        provider=provider,
        machines={},
        kubernetes=False,
        pace=NATIVE,
    )


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.setitem(KINDS, STOP.kind, KINDS[STOP.kind])
    made = Fake()
    made.take_the_place_of()
    return made


def case(run: Action, monkeypatch: pytest.MonkeyPatch, **more: Any) -> Case:
    made = Case(
        name="mine",
        title="a case",
        shows="nothing",
        headline="",
        probes=(CONNECTIONS,),
        meanwhile=(run,),
        checks=(STEADY_CLIENT, STEADY_HOLDER),
        **more,
    )
    monkeypatch.setitem(cases.CASES, "mine", made)
    return made


def go(view: Any, *chosen: Case, rounds: int = 1) -> tuple[runner.Run, list[str]]:
    said: list[str] = []
    return runner.run(chosen, view, said.append, runner.new_folder(view, "verify"), rounds=rounds), said


def test_a_case_named_twice_is_two_rounds_and_one_named_once_has_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = case(lambda stage: None, monkeypatch)
    once = replace(twice, name="other")
    assert [str(part) for part, _ in runner.numbered([twice, once, twice])] == ["mine#1", "other", "mine#2"]


def test_a_case_in_a_steady_lab_passes_and_leaves_a_run_folder(view: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    done, _ = go(view, case(lambda stage: stage.watch(0.3), monkeypatch), rounds=2)
    assert [(c.name, c.outcome) for c in done.cases] == [("mine#1", Outcome.PASS), ("mine#2", Outcome.PASS)]
    assert done.folder.parent == view.state.runs and done.folder.name.endswith("-verify")
    kept = json.loads((done.folder / "verdict.json").read_text())
    assert kept["outcome"] == "pass" and [(c["case"], c["round"]) for c in kept["cases"]] == [("mine", 1), ("mine", 2)]


def test_no_fault_is_made_in_an_unsteady_lab(view: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeProbes, "failing", "refused")
    done, said = go(view, case(lambda stage: pytest.fail("the case was run"), monkeypatch))
    assert done.outcome is Outcome.FAIL, "not one connection was answered"
    assert done.cases[0].reason.startswith("not steady: none of ")
    assert any("waiting for the steady state" in line for line in said)


def test_a_lab_that_is_silent_from_the_start_is_watched_until_that_is_known(
    view: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeProbes, "failing", "timeout at connect")
    done, _ = go(view, case(lambda stage: pytest.fail("the case was run"), monkeypatch))
    assert done.outcome is Outcome.FAIL
    assert "was answered: " in done.cases[0].reason and "timeout at connect" in done.cases[0].reason


def test_what_the_client_began_before_the_end_is_recorded_with_the_answer_that_never_came(
    view: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(stage: Stage) -> None:
        monkeypatch.setattr(FakeProbes, "failing", "timeout at connect")
        stage.watch(0.9)

    done, _ = go(view, case(run, monkeypatch))
    (records,) = load(done.folder / "history.jsonl").values()
    (end,) = [phase.t for phase in records.of(Phase) if phase.name == "end"]
    last = max(probe.t for probe in records.of(Probe) if probe.t < end)
    assert end - last < 0.6, "it was ended with the case"


def test_a_wait_for_the_client_is_not_over_with_what_a_master_tells(tmp_path: Path) -> None:
    with History(tmp_path / "h") as history:
        stage = Stage(SimpleNamespace(), history, SimpleNamespace(connecting=True), print)  # type: ignore[arg-type]
        told: dict[float, Record] = {
            0.05: Holder(source="master1", holds=True),
            0.1: Holder(source="master1", holds=True),
            0.3: Probe(source="worker1", latency=0.001, late=0.0, outcome="ok"),
        }
        for after, record in told.items():
            threading.Timer(
                after, lambda record=record: history.add(record.model_copy(update={"r": time.time()}))
            ).start()
        stage.watch(0.01)
        assert history.look(lambda records: isinstance(records.last, Probe))


def test_a_case_that_breaks_off_is_unknown_and_healed(view: Any, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(stage: Stage) -> None:
        raise LabError("the machine is gone")

    done, said = go(view, case(run, monkeypatch, faults=ON_MASTER1))
    assert done.outcome is Outcome.UNKNOWN and "the machine is gone" in done.cases[0].reason
    assert fake.done[-1] == "heal" and any("the machine is gone" in line for line in said)


def test_an_interrupt_heals_and_still_leaves_verdicts(view: Any, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(stage: Stage) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(view, case(run, monkeypatch, faults=ON_MASTER1))
    assert fake.done[-1] == "heal"
    (folder,) = (view.state.runs).iterdir()
    assert json.loads((folder / "verdict.json").read_text())["cases"][0]["case"] == "mine"


def test_a_fault_that_cannot_be_healed_ends_the_run(view: Any, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.fails = "heal"

    done, said = go(view, case(lambda stage: None, monkeypatch, faults=ON_MASTER1), rounds=3)
    assert len(done.cases) == 1 and done.outcome is Outcome.UNKNOWN
    assert Ledger.of(view.state).entries() and any("the run ends here" in line for line in said)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"needs": Needs(kubernetes=True)}, "needs a cluster"),
        ({"needs": Needs(masters=3)}, "nobody could take over"),
        ({"faults": (Aimed("pause", lambda stage: ("master1",)),)}, "provider fake cannot pause"),
    ],
)
def test_what_the_lab_cannot_be_put_through_is_unknown_with_the_reason(
    view: Any, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], why: str
) -> None:
    done, _ = go(view, case(lambda stage: pytest.fail("the case was run"), monkeypatch, **more))
    assert done.outcome is Outcome.UNKNOWN and why in done.cases[0].reason


def test_faults_are_made_in_turn_and_all_are_healed_before_what_comes_afterwards(
    view: Any, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(word: str) -> Action:
        return lambda stage: fake.done.append(f"{word} of {', '.join(stage.victims)}")

    several = (*ON_MASTER1, Aimed("haproxy-stop", lambda stage: ("master2",), {"loss": 0.5}))
    done, _ = go(view, case(act("meanwhile"), monkeypatch, faults=several, afterwards=(act("afterwards"),)))
    made = ["prepare", "begin"] * 2
    assert fake.done == [*made, "meanwhile of master1, master2", "heal", "heal", "afterwards of "]
    assert fake.healed[0] == Fault("haproxy-stop", ("master2",), {"loss": 0.5}), "the last one first"
    recorded = done.judged[0].recorded
    assert recorded.fault is not None and recorded.fault.nodes == ("master1", "master2")
    assert recorded.fault.heal == min(one.heal or 0.0 for one in recorded.faults)
    assert recorded.fault.healed == max(one.healed or 0.0 for one in recorded.faults)
    assert recorded.promised is None, "nobody promises anything of two at once"


def a_lab(kubernetes: bool, masters: int = 3) -> Any:
    provider = SimpleNamespace(name="fake", capabilities=frozenset())
    return SimpleNamespace(kubernetes=kubernetes, provider=provider, ranking=[None] * masters)


def test_cases_by_name_and_by_what_the_lab_is() -> None:
    assert [c.name for c in usual(a_lab(True))] == ["haproxy-failover", "api-spread", "scheduler-failover"]
    assert [c.name for c in usual(a_lab(True, masters=1))] == ["api-spread"]
    assert not any(c.needs.kubernetes for c in usual(a_lab(False)))
    assert "power-cut" in [c.name for c in usual(a_lab(False))]
    assert "pause" not in [c.name for c in usual(a_lab(False))], "this provider cannot"
    with pytest.raises(LabError, match="no such case: nonsense") as error:
        named(["power-cut", "nonsense"])
    assert int(error.value.status) == 64
