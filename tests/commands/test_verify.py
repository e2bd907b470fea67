"""verify of a lab that is not what its definition says: no case is run, all are unknown, and every file says why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from lab.commands import verify
from lab.definition import load, parse
from lab.errors import ExitStatus, UsageError
from lab.identity import Identity
from lab.operations import verification
from lab.plan.site import ContainerSite
from lab.project import DEFAULT_DEFINITION
from lab.report import report_again
from lab.stage import Stage
from lab.state import State
from lab.topology import derive

CASES = ["haproxy-failover", "api-spread", "scheduler-failover"]
WHY = "the lab is not what its definition says (./inv up mends that): haproxy, keepalived not applied on master2"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    """A lab whose second master did not go through two of its steps; nothing but its folder is there to be touched."""
    state = State(Identity("ha", tmp_path))
    state.write("stage", Stage.WORKERS)
    topology = derive(load(DEFAULT_DEFINITION), "")
    provider = SimpleNamespace(name="lxc", capabilities=frozenset())
    site = ContainerSite(state.identity)
    lab: Any = SimpleNamespace(
        state=state,
        topology=topology,
        provider=provider,
        site=site,
        identity=state.identity,
        machines={},
        kubernetes=True,
    )
    monkeypatch.setattr("lab.operations.changing.open_lab", lambda *_: lab)
    monkeypatch.setattr(verification, "drift", lambda _: "haproxy, keepalived not applied on master2")
    yield state


def test_it_is_unknown_in_every_form(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        verify.run("ha", "", [])
    assert ended.value.code == ExitStatus.UNKNOWN == 2
    assert " ".join(capsys.readouterr().out.split()).count(WHY) >= len(CASES)
    (folder,) = state.runs.glob("*-verify")
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["outcome"] == "unknown"
    assert [(case["case"], case["outcome"], case["verdicts"][0]["reason"]) for case in verdict["cases"]] == [
        (case, "unknown", WHY) for case in CASES
    ]
    suites = list(ElementTree.parse(folder / "junit.xml").getroot())
    assert [suite.get("name") for suite in suites] == CASES
    for suite in suites:
        assert suite.get("failures") == "0", "what was not looked at has not failed"
        assert suite.get("errors") == suite.get("tests")
        assert any(error.get("message") == WHY for error in suite.iter("error"))
    assert (folder / "report.html").read_text().count(WHY) >= len(CASES)
    history = [json.loads(line)["kind"] for line in (folder / "history.jsonl").read_text().splitlines()]
    assert set(history) == {"header", "broken-off", "phase"}, "neither a probe nor a fault was begun"


def test_judged_again_the_run_is_what_it_was(state: State) -> None:
    with pytest.raises(SystemExit):
        verify.run("ha", "", [])
    (folder,) = state.runs.glob("*-verify")
    before = (folder / "junit.xml").read_text()
    report_again(folder)
    assert (folder / "junit.xml").read_text() == before


def test_an_interrupted_bench_is_named(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    state.borrow_settings("article")
    with pytest.raises(SystemExit) as ended:
        verify.run("ha", "", ["api-spread"])
    assert ended.value.code == ExitStatus.UNKNOWN
    said = " ".join(capsys.readouterr().out.split())
    assert "an interrupted bench left the load balancer of article: haproxy, keepalived not applied on master2" in said


SLOW = """
nodes: [{name: m1, role: master}, {name: m2, role: master}, {name: w, role: worker}]
haproxy: {check: {inter: 86400, fall: 100}}
"""


def test_a_case_that_would_outlast_its_probes_is_refused_by_name_before_it_begins(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = verify.alone_with

    @contextmanager
    def slow(*given: Any) -> Iterator[Any]:
        with opened(*given) as lab:
            monkeypatch.setattr(lab, "topology", derive(parse(SLOW), ""))
            yield lab

    monkeypatch.setattr(verify, "alone_with", slow)
    with pytest.raises(UsageError, match=r"power-cut may take .* probes end after 900 s") as refused:
        verify.run("ha", "", ["haproxy-stop", "power-cut"])
    assert int(refused.value.status) == 64
    assert "haproxy-stop" in str(refused.value) and "pause" not in str(refused.value).partition("--case")[2]
    assert not state.runs.exists()
    with pytest.raises(SystemExit) as ended:
        verify.run("ha", "", ["haproxy-stop"])
    assert ended.value.code == ExitStatus.UNKNOWN, "what can be measured is not refused"
