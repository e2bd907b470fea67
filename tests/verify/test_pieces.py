"""Small pieces: merged verdicts, clocks, histories, rates, scripts of faults."""

from __future__ import annotations

import itertools
import json
import re
import threading
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import LabError
from lab.faults.spec import Fault
from lab.machines import programs
from lab.verify import clock, outage
from lab.verify.history import History, Records, load
from lab.verify.recorded import Connection
from lab.verify.records import FORM, AnyRecord, FaultStep, Holder, Note, Part, Trouble, read
from lab.verify.verdict import Outcome, Verdict, merge


@pytest.mark.parametrize(
    ("outcomes", "merged"),
    [
        ("", "unknown"),
        ("pass", "pass"),
        ("pass pass", "pass"),
        ("pass unknown", "unknown"),
        ("unknown fail pass", "fail"),
    ],
)
def test_fail_outweighs_unknown_outweighs_pass(outcomes: str, merged: str) -> None:
    assert merge(Outcome(word) for word in outcomes.split()) == merged
    assert [int(Outcome(word).status) for word in ("pass", "fail", "unknown")] == [0, 1, 2]
    assert Verdict("c", Outcome.PASS, "", "", "").values == {}


def test_the_quickest_exchange_tells_the_clock() -> None:
    offset = clock.from_exchanges([(10.0, 15.4, 10.9), (20.0, 25.011, 20.02), (30.0, 35.5, 30.5)])
    assert offset.seconds == pytest.approx(5.001) and offset.error == pytest.approx(0.01)


def test_a_history_can_be_read_while_it_is_written_and_after_a_kill(tmp_path: Path) -> None:
    path, one, two = tmp_path / "history.jsonl", Part("one"), Part("two", 2)
    with History(path) as history:
        history.begin(one)
        history.add(Note(text="a"))
        history.hear("master1", '{"kind": "holder", "t": 5.5, "holds": true}')
        history.hear("master1", "not a record")
        history.hear("master1", '{"kind": "x", "t": 1}')
        history.hear("master1", '{"kind": "trouble", "t": 1, "what": "b", "case": "f", "round": 7, "r": 0}')
        history.begin(two)
        history.add(Note(text="b"))
        found = load(path)
    assert list(found) == [one, two]
    assert [(look.source, look.t) for look in found[one].of(Holder)] == [("master1", 5.5)]
    assert [note.text for note in found[one].of(Note)] == ["a", "not a record", '{"kind": "x", "t": 1}']
    (trouble,) = found[one].of(Trouble)
    assert trouble.source == "master1" and trouble.r > 1
    path.write_text(path.read_text() + '{"case": "two", "ki')
    assert len(load(path)[two].of(Note)) == 1
    path.write_text('{"half\n' + path.read_text())
    with pytest.raises(LabError, match=r"history\.jsonl:1"):
        load(path)


def test_a_history_of_a_newer_program_is_refused_by_its_form(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(json.dumps({"kind": "header", "form": FORM + 1, "case": "c", "round": 0, "vip": {}}) + "\n")
    with pytest.raises(LabError, match=rf"has form {FORM + 1} of histories, and this program knows forms 0 to {FORM}"):
        load(path)


def test_rounds_that_were_counted_in_a_cases_name_are_read(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    lines = [
        {"kind": "note", "text": "x", "t": 1, "r": 1, "source": "lab", "case": name} for name in ("a", "b#1", "b#2")
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert list(load(path)) == [Part("a"), Part("b", 1), Part("b", 2)]
    assert [str(part) for part in load(path)] == ["a", "b#1", "b#2"]


def test_every_kind_of_record_is_read_as_it_was_written() -> None:
    fault = Fault("partition", ("master1", "master2"), {"loss": 0.5})
    made = FaultStep(event="begin", id="x", fault=fault, silences=False)
    assert read(json.loads(json.dumps(made.model_dump()))) == made


def test_every_kind_that_a_program_prints_is_known() -> None:
    printed = [re.findall(r'kind(?:=|": )"([a-z-]+)"', file.read_text()) for file in programs.FOLDER.glob("*.py")]
    kinds = {kind for found in printed for kind in found}
    assert len(kinds) >= 10
    known = {get_args(kind.model_fields["kind"].annotation)[0] for kind in get_args(get_args(AnyRecord)[0])}
    assert kinds <= known


def test_waiting_ends_with_the_record_or_with_the_deadline(tmp_path: Path) -> None:
    with History(tmp_path / "h") as history:
        history.begin(Part("c"))
        timer = threading.Timer(0.05, lambda: history.add(Note(text="now")))
        timer.start()
        assert history.wait(lambda records: bool(records.of(Note)), 5.0)
        assert not history.wait(lambda records: len(records.of(Note)) > 1, 0.05)
        timer.join()


def test_what_is_asked_of_records_is_known_by_kind_and_by_source() -> None:
    looks = [Holder(source=node, t=t, r=t, holds=t > 2) for t, node in ((1.0, "m1"), (2.0, "m2"), (3.0, "m1"))]
    records = Records(looks)
    assert list(records.of(Holder)) == looks and records.of(Note) == ()
    assert records.latest(Holder) == {"m1": looks[2], "m2": looks[1]}
    assert (records.first, records.last) == (looks[0], looks[2])
    kept = records.copy()
    records.add(Note(text="later"))
    assert kept.of(Note) == () and kept.last == looks[2]


def connections(*spans: tuple[float, float]) -> list[Connection]:
    return [Connection(start + late, 0.01, late, "ok") for start, late in spans]


def test_a_connection_started_late_was_started() -> None:
    steady = [(n / 50, 0.0) for n in range(100)]
    stalled = [(at, max(0.0, 0.7 - at) if 0.4 <= at < 0.7 else 0.0) for at, _ in steady]
    skipped = [(at, 0.0) for at, _ in steady if not 0.4 <= at < 0.7]
    assert outage.worst_rate(connections(*steady), 0.0, 2.0) == 50
    assert outage.worst_rate(connections(*stalled), 0.0, 2.0) == 50
    assert outage.worst_rate(connections(*skipped), 0.0, 2.0) == 35
    assert outage.longest_pause(connections(*stalled), 0.5, 0.6) == pytest.approx(0.32)


@given(st.lists(st.tuples(st.floats(0, 10), st.booleans()), min_size=1, max_size=60, unique_by=lambda one: one[0]))
def test_outages_hold_all_failures_and_between_two_of_them_all_was_well(given: list[tuple[float, bool]]) -> None:
    made = [Connection(at, 0.01, 0.0, "ok" if good else "refused") for at, good in sorted(given)]
    found = outage.outages(made)
    assert [c for one in found for c in one.failed] == [c for c in made if c.outcome != "ok"]
    for one in found:
        assert one.start == one.failed[0].start and one.end >= one.failed[-1].start
        assert 0.0 <= one.least <= one.seconds <= one.most
        after = made[made.index(one.failed[-1]) + 1 :]
        assert not any(c.outcome != "ok" for c in after if one.over and c.start < one.end + outage.CLEAN)
    for one, other in itertools.pairwise(found):
        assert one.over and other.start - one.end >= outage.CLEAN
    whole = outage.joined(found)
    assert (whole is None) == (not found)
    if whole is not None:
        assert (whole.start, whole.end, len(whole.failed)) == (
            found[0].start,
            found[-1].end,
            sum(len(one.failed) for one in found),
        )


def lasting(*failures: tuple[float, float]) -> list[tuple[float, float, bool]]:
    """The outages of ten seconds in which all fails between these moments: (start, end, over?)."""
    made = [(n / 50, any(start <= n / 50 < end for start, end in failures)) for n in range(500)]
    found = outage.outages([Connection(at, 0.01, 0.0, "refused" if bad else "ok") for at, bad in made])
    return [(round(one.start, 2), round(one.end, 2), one.over) for one in found]


def test_an_outage_ends_with_a_second_of_successes() -> None:
    assert lasting((2.0, 2.1)) == [(2.0, 2.1, True)]
    assert lasting((2.0, 2.1), (3.0, 3.02)) == [(2.0, 3.02, True)]
    assert lasting((2.0, 2.1), (3.1, 3.12)) == [(2.0, 2.1, True), (3.1, 3.12, True)]
    assert lasting((9.5, 9.6)) == [(9.5, 9.6, False)]
    assert lasting((9.5, 11.0)) == [(9.5, 9.98, False)]


def test_what_a_client_that_stood_still_saw_of_an_outage_is_the_least_of_it() -> None:
    due = [n / 50 for n in range(250) if not 0.5 <= n / 50 < 1.5]
    (seen,) = outage.outages([Connection(at, 0.01, 0.0, "refused" if 0.3 <= at < 0.6 else "ok") for at in due])
    assert (round(seen.least, 3), round(seen.seconds, 3), round(seen.most, 3)) == (0.2, 1.2, 1.2)
    (seen,) = outage.outages([Connection(at, 0.01, 0.0, "refused" if 0.6 <= at < 1.9 else "ok") for at in due])
    assert (round(seen.least, 3), round(seen.seconds, 3), round(seen.most, 3)) == (0.4, 0.4, 1.4)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1), st.floats(0, 1)), max_size=40))
def test_the_clients_own_pauses_are_never_more_than_the_latency(given: list[tuple[float, float, float]]) -> None:
    made = sorted((Connection(a, b, c, "ok") for a, b, c in given), key=lambda connection: connection.start)
    for before, after in zip(made, outage.excused(made), strict=True):
        assert -1e-9 <= after.latency <= before.latency
