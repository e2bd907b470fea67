"""Settings of one definition on the lab of another: what is borrowed, and that it is given back."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from interrupting import answered, interrupt
from listening import Deaf

from lab.bench import failover
from lab.bench.failover import FailoverBench, borrowed
from lab.definition import Definition, DefinitionError, load, parse
from lab.errors import LabError, UsageError
from lab.faults.ledger import still_open
from lab.identity import Identity
from lab.interrupts import Open, waiting
from lab.operations import verification
from lab.operations.verification import doubt
from lab.plan.site import ContainerSite, VirtualSite
from lab.stage import Stage
from lab.state import State
from lab.timeline import Timeline
from lab.topology import Topology, derive

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
HA, ARTICLE, DOCUMENT = (load(CONFIGS / f"{name}.yaml") for name in ("ha", "article", "kubeadm-doc"))


@pytest.mark.parametrize("settings", [HA, ARTICLE, DOCUMENT], ids=lambda one: one.name)
def test_the_load_balancer_is_theirs_and_the_rest_is_the_labs(settings: Definition) -> None:
    both = borrowed(HA, settings)
    assert (both.keepalived, both.haproxy) == (settings.keepalived, settings.haproxy)
    assert (both.name, both.network, both.machine) == (HA.name, HA.network, HA.machine)
    assert [node.name for node in both.nodes] == [node.name for node in HA.nodes]
    given, theirs = derive(both, "").load_balancers, derive(settings, "").load_balancers
    assert [node.priority for node in given] == [node.priority for node in theirs]


def test_weights_that_do_not_fit_the_labs_own_priorities_are_refused() -> None:
    """Two masters keep their own priorities, farther apart than the article's weight: its VIP would never move."""
    two = parse("nodes: [{name: a, role: master, priority: 254}, {name: b, role: master, priority: 100}]")
    with pytest.raises(DefinitionError, match="the settings of article on lab") as caught:
        borrowed(two, ARTICLE)
    assert "the VIP never moves" in str(caught.value)


@pytest.fixture
def lab(tmp_path: Path) -> Any:
    state = State(Identity("ha", tmp_path))
    state.write("stage", Stage.WORKERS)
    return SimpleNamespace(
        definition=HA,
        topology=derive(HA, driver=""),
        state=state,
        site=ContainerSite(state.identity),
        identity=state.identity,
        machines={},
        provider=None,
        kubernetes=True,
        observe=lambda: ({}, {node.name: {"steps": {}} for node in HA.nodes}),
    )


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[Topology]:
    """Whose settings were put on the lab, in turn."""
    topologies: list[Topology] = []
    monkeypatch.setattr(FailoverBench, "_apply", lambda self, topology: topologies.append(topology))
    return topologies


def test_the_lab_gets_its_own_back_whatever_happens(
    lab: Any, applied: list[Topology], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        assert lab.state.borrowed == "article"
        assert "an interrupted bench left the load balancer of article: haproxy not applied on master1" in doubt(lab)
        raise KeyboardInterrupt

    monkeypatch.setattr(verification, "drift", lambda _: "haproxy not applied on master1")
    monkeypatch.setattr(failover, "run_cases", broken)
    with pytest.raises(KeyboardInterrupt):
        list(FailoverBench(lab, [ARTICLE], Timeline(Deaf()), lambda line: None).run(1))
    assert [topology.definition.keepalived for topology in applied] == [ARTICLE.keepalived, HA.keepalived]
    assert lab.state.borrowed == ""


def test_interrupts_wait_until_it_has_them(lab: Any, applied: list[Topology], monkeypatch: pytest.MonkeyPatch) -> None:
    def apply(self: FailoverBench, topology: Topology) -> None:
        applied.append(topology)
        if topology is lab.topology:
            interrupt()
            applied.append(topology)

    def interrupted(*_: object, **__: object) -> None:
        interrupt()
        with waiting():
            pytest.fail("a wait goes on")

    monkeypatch.setattr(FailoverBench, "_apply", apply)
    monkeypatch.setattr(failover, "run_cases", interrupted)
    with answered(monkeypatch), pytest.raises(KeyboardInterrupt):
        list(FailoverBench(lab, [ARTICLE], Timeline(Deaf()), lambda line: None).run(1))
    assert [topology.definition.keepalived for topology in applied] == [ARTICLE.keepalived, *[HA.keepalived] * 2]
    assert lab.state.borrowed == ""


def test_what_it_could_not_give_back_is_open(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def apply(self: FailoverBench, topology: Topology) -> None:
        if topology is lab.topology:
            raise LabError("master1 does not answer")

    monkeypatch.setattr(FailoverBench, "_apply", apply)
    monkeypatch.setattr(failover, "run_cases", lambda *_, **__: SimpleNamespace(cases=[]))
    with pytest.raises(LabError, match="master1 does not answer"):
        list(FailoverBench(lab, [ARTICLE], Timeline(Deaf()), lambda line: None).run(1))
    assert still_open(lab.state) == [Open("the load balancer of article", "./inv up gives the lab its own back")]


def test_nothing_is_touched_before_all_settings_fit(
    lab: Any, applied: list[Topology], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(own: Definition, settings: Definition) -> Definition:
        if settings is DOCUMENT:
            raise DefinitionError("the settings of kubeadm-doc", [])
        return own

    monkeypatch.setattr(failover, "borrowed", refuse)
    with pytest.raises(DefinitionError):
        list(FailoverBench(lab, [ARTICLE, DOCUMENT], Timeline(Deaf()), lambda line: None).run(1))
    assert applied == []


def test_with_a_master_that_is_off_nothing_is_borrowed(lab: Any, applied: list[Topology]) -> None:
    lab.observe = lambda: ({}, {node.name: {"steps": {}} for node in HA.nodes if node.name != "master3"})
    with pytest.raises(LabError, match="master3: it does not run") as caught:
        list(FailoverBench(lab, [ARTICLE], Timeline(Deaf()), lambda line: None).run(1))
    assert "./inv up" in caught.value.hint
    assert (applied, lab.state.borrowed, still_open(lab.state)) == ([], "", [])


def test_a_master_that_was_lost_meanwhile_is_named_before_the_others_change(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object, **__: object) -> Any:
        lab.observe = lambda: ({}, {"master1": {"steps": {}}})
        return SimpleNamespace(cases=[])

    balanced: list[Topology] = []
    monkeypatch.setattr(failover, "balance", lambda topology, *_: balanced.append(topology))
    monkeypatch.setattr(failover, "wait_for", lambda *_, **__: None)
    monkeypatch.setattr(failover, "run_cases", lost)
    with pytest.raises(LabError, match="master2: it does not run\nmaster3: it does not run"):
        list(FailoverBench(lab, [ARTICLE], Timeline(Deaf()), lambda line: None).run(1))
    assert [topology.definition.keepalived for topology in balanced] == [ARTICLE.keepalived]
    assert lab.state.borrowed == "article"


def test_an_emulated_lab_is_measured_at_its_own_pace(
    lab: Any, applied: list[Topology], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.site = VirtualSite(lab.identity, "qemu")
    rates: list[float] = []

    def run_cases(cases: object, view: Any, *_: object, **__: object) -> Any:
        rates.append(view.pace.rate)
        return SimpleNamespace(cases=[])

    monkeypatch.setattr(failover, "run_cases", run_cases)
    rows = list(FailoverBench(lab, [HA], Timeline(Deaf()), lambda line: None).run(1))
    assert [row.fault for row in rows] == ["haproxy-stop", "haproxy-kill", "haproxy-crash"]
    assert set(rates) == {5.0}


def test_settings_that_verify_cannot_measure_change_nothing(lab: Any, applied: list[Topology]) -> None:
    detection = ARTICLE.keepalived.detection.model_copy(update={"interval": 3600, "timeout": 60})
    slow = ARTICLE.model_copy(
        update={"keepalived": ARTICLE.keepalived.model_copy(update={"detection": detection}), "name": "slow"}
    )
    with pytest.raises(UsageError, match="haproxy-stop, haproxy-kill, haproxy-crash may take"):
        list(FailoverBench(lab, [ARTICLE, slow], Timeline(Deaf()), lambda line: None).run(1))
    assert applied == []
