"""What was seen of the VIP while the load balancer changed, and how that is told."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.errors import LabError
from lab.plan.change import Change
from lab.verify import watch
from lab.verify.recorded import Recorded
from lab.verify.records import Header, Holder, Phase, Record
from lab.verify.watch import Passage, passage, told, watching

PLANNED = Change(True, (), (), 2, 0.3, "one after another")


def looks(node: str, *changes: tuple[float, bool], until: float = 10.0) -> Iterator[Record]:
    """A master's looks, a beat every half second, from these changes on."""
    beats = [(moment / 2, None) for moment in range(int(until * 2) + 1)]
    holds = False
    for at, change in sorted([*beats, *changes], key=lambda look: look[0]):
        holds = holds if change is None else change
        yield Holder(source=node, t=at, r=at, holds=holds)


def records(*seen: Iterable[Record]) -> Recorded:
    """A watched change from second 1 to second 9."""
    frame = [
        Header(t=0.0, r=0.0, ranking=("m1", "m2", "m3")),
        Phase(t=1.0, r=1.0, name="steady"),
        Phase(t=9.0, r=9.0, name="end"),
    ]
    return Recorded([*frame, *(record for one in seen for record in one)])


def test_a_vip_that_stays_has_not_moved() -> None:
    seen = passage(records(looks("m1", (0.0, True)), looks("m2"), looks("m3")))
    assert seen == Passage(0, 0.0, 0.0, "")


def test_away_and_back_are_two_moves_and_the_longest_time_without_a_holder_counts() -> None:
    seen = passage(
        records(
            looks("m1", (0.0, True), (3.0, False), (5.0, True)), looks("m2", (3.25, True), (5.125, False)), looks("m3")
        )
    )
    assert seen == Passage(2, 0.25, 0.125, "")


def test_a_holder_that_nobody_replaced_took_it_once_more() -> None:
    assert passage(records(looks("m1", (0.0, True), (3.0, False), (7.0, True)), looks("m2"), looks("m3"))).moves == 1


def test_a_master_that_was_not_watched_is_a_doubt() -> None:
    seen = passage(records(looks("m1", (0.0, True)), looks("m2", until=4.0), looks("m3")))
    assert seen.doubt == "m2 was not observed for 5.0 s"


def test_a_master_that_was_watched_late_is_a_doubt() -> None:
    late = Holder(source="m2", t=3.26, r=3.26, holds=True, why="beat", late=0.2)
    seen = [[*looks("m1", (0.0, True), (3.0, False))], [*looks("m2", (3.25, True))], [*looks("m3")]]
    assert passage(records(*seen)).doubt == ""
    assert passage(records(*seen, [late])).doubt == "m2 was watched up to 250 ms late"


def test_what_was_seen_stands_beside_what_was_promised() -> None:
    promised = "at most 2 moves of the VIP, at most 300 ms without a holder"
    assert told(Passage(2, 0.087, 0.0, ""), PLANNED) == (
        f"the load balancer has changed: 2 moves of the VIP, 87 ms without a holder; as promised: {promised}"
    )
    assert "; not as promised: " in told(Passage(3, 0.087, 0.0, ""), PLANNED)
    assert "; not as promised: " in told(Passage(1, 0.4, 0.0, ""), PLANNED)
    assert told(Passage(0, 0.0, 0.0, "m2 was not observed for 5.0 s"), PLANNED).endswith(
        "(m2 was not observed for 5.0 s)"
    )


def test_a_change_that_cannot_be_watched_goes_on_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def refuse(view: object, folder: Path) -> Iterator[None]:
        raise LabError("m1 did not tell its time")
        yield

    monkeypatch.setattr(watch, "watched", refuse)
    lines: list[str] = []
    with watching(SimpleNamespace(state=SimpleNamespace(runs=tmp_path)), PLANNED, lines.append):  # type: ignore[arg-type]
        lines.append("changed")
    assert lines == ["what the change does to the VIP is not measured: m1 did not tell its time", "changed"]


def test_the_watch_begins_when_all_masters_have_told_and_keeps_what_they_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(self: Any, probe: object) -> None:
        for node, late in itertools.product(("m1", "m2"), range(100)):
            moment = 1.0e10 + late  # so late that nothing waits for the next look
            self.history.hear(node, json.dumps({"kind": "holder", "t": moment, "holds": node == "m1", "late": 0.0}))

    monkeypatch.setattr(watch.Probes, "clocks", lambda self, *nodes: None)
    monkeypatch.setattr(watch.Probes, "start", start)
    monkeypatch.setattr(watch.Stage, "watch", lambda self, seconds: None)
    view = SimpleNamespace(ranking=[SimpleNamespace(name=name) for name in ("m1", "m2")])
    with watch.watched(view, tmp_path / "run"):  # type: ignore[arg-type]
        pass
    kept = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert {record["source"] for record in kept if record["kind"] == "holder"} == {"m1", "m2"}
    assert [record["name"] for record in kept if record["kind"] == "phase"] == ["steady", "end"]
