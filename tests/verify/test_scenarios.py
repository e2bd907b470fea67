"""Every check over recorded histories, in pass, fail and unknown. A new scenario needs no code, only scenarios/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.verify.cases import CASES
from lab.verify.checks.client import STEADY_CLIENT
from lab.verify.judge import judge
from lab.verify.verdict import CaseVerdict, Outcome
from tests.verify import scenario

ALL = list(scenario.load_all())


def only(folder: Path) -> CaseVerdict:
    """The verdict on a run of one case."""
    (judged,) = judge(folder)
    return judged.verdict


@pytest.mark.parametrize(("given", "expected"), [one[1:] for one in ALL], ids=[one[0] for one in ALL])
def test_verdict(given: dict[str, Any], expected: dict[str, str], tmp_path: Path) -> None:
    found = only(scenario.write(given, tmp_path))
    outcomes = {verdict.check: str(verdict.outcome) for verdict in found.verdicts} | {"case": str(found.outcome)}
    reasons = {verdict.check: verdict.reason for verdict in found.verdicts}
    assert {check: outcomes[check] for check in expected} == expected, reasons


@pytest.mark.parametrize("name", ["failover", "powercut", "spread", "scheduler"])
def test_a_run_from_before_the_form_was_counted_is_judged_as_today(name: str, tmp_path: Path) -> None:
    found = [only(scenario.write(scenario.base(name), tmp_path / str(old), old=old)) for old in (False, True)]
    assert found[0] == found[1] and found[0].outcome is Outcome.PASS


def test_a_check_that_throws_could_not_tell() -> None:
    verdict = STEADY_CLIENT(None)  # type: ignore[arg-type]
    assert verdict.outcome is Outcome.UNKNOWN and "the check itself failed: AttributeError" in verdict.reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("went to the third instead of the second", "master2 did not take it; in the end master3 held it"),
        ("did not move", "master1 kept it; in the end master1 held it"),
    ],
)
def test_a_move_that_failed_says_who_did_not_and_who_did(name: str, reason: str, tmp_path: Path) -> None:
    given = next(given for title, given, _ in ALL if name in title)
    found = only(scenario.write(given, tmp_path))
    assert reason in [verdict.reason for verdict in found.verdicts if verdict.check == "moved"]


@pytest.mark.parametrize(
    ("name", "measured", "reason"),
    [
        (
            "every connection ends in a TLS error",
            "0 of 100 connections succeeded",
            "not steady: none of 100 connections was answered: 100 × tls wrong_version_number",
        ),
        (
            "a few fail before the case, and nothing is done",
            "95 of 100 connections succeeded",
            "not steady: 5 × refused",
        ),
        ("two hold it from the start", "master1 and master2", "not steady: master1 and master2 held it all the time"),
    ],
)
def test_where_nothing_was_done_the_reason_is_what_was_wrong_before(
    name: str, measured: str, reason: str, tmp_path: Path
) -> None:
    given = next(given for title, given, _ in ALL if name in title)
    found = only(scenario.write(given, tmp_path))
    assert (found.measured, found.reason) == (measured, reason)
    others = {v.reason for v in found.verdicts if v.outcome is Outcome.UNKNOWN and v.reason != reason}
    assert others == {f"nothing was done: {reason}"}


@pytest.mark.parametrize(
    ("name", "check", "reason"),
    [
        (
            "the third took it first, the second only later",
            "moved",
            "2 moves where 1 is promised: master3, then master2; 3.06 s after the fault, and not within 200 ms",
        ),
        (
            "the third took it for a moment beside the second",
            "moved",
            "2 moves where 1 is promised: master3, then master2; master3 for a moment only",
        ),
        (
            "nobody may take it back, and the third takes it",
            "came-back",
            "1 move where none is promised: master3",
        ),
        (
            "two hold it most of the time, in pieces that a lost advertisement explains",
            "holders",
            "several held the VIP together for 2.71 s in 10 pieces, with 2 moves promised",
        ),
    ],
)
def test_moves_that_nobody_promised_are_counted_and_named(name: str, check: str, reason: str, tmp_path: Path) -> None:
    given = next(given for title, given, _ in ALL if name in title)
    found = only(scenario.write(given, tmp_path))
    assert [v.reason for v in found.verdicts if v.check == check] == [reason]


@pytest.mark.parametrize(
    ("name", "measured", "reason"),
    [
        (
            "lease: nobody could watch it",
            "not told",
            "who held the lease was not seen for 38.5 s: watch of kube-scheduler: timed out",
        ),
        (
            "lease: it was found elsewhere when it could be watched again",
            "master3 after 29.5 s",
            "who held the lease was not seen for 30.0 s: watch of kube-scheduler: timed out",
        ),
    ],
)
def test_a_lease_that_nobody_could_watch_says_so(name: str, measured: str, reason: str, tmp_path: Path) -> None:
    given = next(given for title, given, _ in ALL if title == name)
    found = only(scenario.write(given, tmp_path))
    assert [(v.measured, v.reason) for v in found.verdicts if v.check == "lease"] == [(measured, reason)]


def test_what_is_promised_of_a_crash_does_not_say_that_the_vip_returns_where_nobody_takes_it_back(
    tmp_path: Path,
) -> None:
    for name, moves, promised in (
        ("crash that healed itself: nobody preempts", True, "master2"),
        ("crash that healed itself: nobody preempts", None, "master1 or master2"),
        ("crash that healed itself: there and back", True, "master2, then master1"),
        ("crash that healed itself: may move, did not", None, "master1"),
    ):
        given = next(given for title, given, _ in ALL if title.endswith(name))
        given = {**given, "promise": {**given["promise"], "moves": moves}}
        found = only(scenario.write(given, tmp_path))
        assert [v.promised for v in found.verdicts if v.check == "moved"] == [promised]


def test_a_case_that_broke_off_before_it_began_says_why(tmp_path: Path) -> None:
    given = {**scenario.base("powercut"), "fault": None, "phases": {"end": 0}, "broken_off": ["it needs a cluster"]}
    found = only(scenario.write(given, tmp_path))
    assert found.reason == "it needs a cluster"
    assert {v.reason for v in found.verdicts[1:]} == {"nothing was done: it needs a cluster"}


def test_every_check_is_seen_in_every_outcome_it_has() -> None:
    """A check that cannot fail is a defect; who scheduled a pod is known or it is not."""
    checks = {check.name for case in CASES.values() for check in case.checks}
    seen = {(check, outcome) for _, _, expected in ALL for check, outcome in expected.items()}
    only_doubt = {"scheduled"}
    wanted = {(check, str(o)) for check in checks for o in Outcome if o is not Outcome.FAIL or check not in only_doubt}
    assert wanted - seen == set()


def test_a_history_without_anything_is_unknown(tmp_path: Path) -> None:
    for name in CASES:
        record = {"t": 1, "r": 1, "source": "lab", "kind": "note", "text": "x", "case": name}
        (tmp_path / "history.jsonl").write_text(json.dumps(record) + "\n")
        found = only(tmp_path)
        assert found.outcome is Outcome.UNKNOWN, name
        assert all(verdict.outcome is Outcome.UNKNOWN for verdict in found.verdicts)


def test_a_case_that_was_killed_is_unknown_though_all_that_it_saw_was_good(tmp_path: Path) -> None:
    folder = scenario.write(scenario.base("failover"), tmp_path)
    assert only(folder).outcome is Outcome.PASS
    history = folder / "history.jsonl"
    history.write_text("".join(line for line in history.open() if '"name": "end"' not in line))
    found = only(folder)
    assert found.outcome is Outcome.UNKNOWN
    assert found.verdicts[0].reason == "it was killed before its end"
