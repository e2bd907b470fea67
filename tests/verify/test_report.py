"""What a run leaves for people and for CI."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from lab.faults.kinds import KINDS
from lab.report import report_again, timeline
from lab.verify.judge import judge
from lab.verify.recorded import Recorded
from lab.verify.records import read
from tests.verify import scenario

#: Enough of every shape a history can have; the other scenarios differ in figures only.
ALL = [
    one
    for one in scenario.load_all()
    if one[0].startswith(("broken", "outage: n", "outage: k", "holders: a ", "lease: c"))
]
ALL += [(name, scenario.base(name), {}) for name in ("failover", "powercut", "spread", "scheduler")]

#: Elements that HTML never closes.
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Balance(HTMLParser):
    """Notes every element that is not closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Closed in itself."""


@pytest.mark.parametrize("given", [one[1] for one in ALL], ids=[one[0] for one in ALL])
def test_every_run_can_be_reported(given: dict[str, Any], tmp_path: Path) -> None:
    page = report_again(scenario.write(given, tmp_path)).read_text()
    balance = Balance()
    balance.feed(page)
    assert not balance.wrong and not balance.open
    assert "nan" not in re.findall(r'(?:x|y|width|cx|cy)="([^"]*)"', page)
    (case,) = judge(tmp_path)
    assert f'<span class="chip {case.verdict.outcome}">' in page


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    page = report_again(scenario.write(scenario.base("failover"), tmp_path)).read_text()
    assert not re.search(r'(?:src|href)="(?!#)|url\(|@import|https?://', page)
    assert "prefers-color-scheme: dark" in page


def test_what_machines_say_is_text_on_the_page(tmp_path: Path) -> None:
    given = {**scenario.base("failover"), "broken_off": ["<script>alert(1)</script>"]}
    page = report_again(scenario.write(given, tmp_path)).read_text()
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_an_empty_run_is_reported_too(tmp_path: Path) -> None:
    assert "No case was run" in report_again(tmp_path).read_text()


def test_junit_counts_fail_and_unknown_apart(tmp_path: Path) -> None:
    change = {"failing": [[2.0, 2.5, "refused", 0.001]], "pods": [], "broken_off": ["control \x1b[0m characters"]}
    report_again(scenario.write({**scenario.base("failover"), **change}, tmp_path))
    (suite,) = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert suite.get("failures") == "1" and suite.get("errors") == "2"
    assert {test.get("name") for test in suite if test.find("failure") is not None} == {"outage"}
    assert {test.get("name") for test in suite if test.find("error") is not None} == {"case", "pod"}


@pytest.mark.parametrize(("kind", "style"), [("haproxy-stop", "of-its-own"), ("forgotten", timeline.UNKNOWN)])
def test_a_fault_is_drawn_as_its_kind_says_on_each_machine_that_it_was_done_to(
    kind: str, style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "haproxy-stop", replace(KINDS["haproxy-stop"], drawn="of-its-own"))
    given = scenario.lines(scenario.base("failover"))
    for line in given:
        if line["kind"] == "fault":
            line["fault"] = {"kind": kind, "targets": ["master1", "master3"], "parameters": {}}
    drawing = timeline.whole(Recorded(read(line) for line in given))
    assert drawing is not None
    bars = [(bar.y, bar.kind, bar.title) for bar in drawing.bars if bar.title.startswith(kind)]
    rows = [lane.at for lane in drawing.lanes]
    assert bars == [(rows[0], style, f"{kind} on master1"), (rows[2], style, f"{kind} on master3")]


def test_the_drawing_is_to_scale() -> None:
    drawing = timeline.whole(scenario.recorded(scenario.base("failover")))
    assert drawing is not None
    assert timeline.level(1.0) == drawing.plot_top and timeline.level(0.001) == drawing.plot_bottom
    holds = {(bar.y, round(bar.x)): bar.width for bar in drawing.bars if bar.kind == "holds"}
    per_second = (drawing.right - drawing.left) / 12
    second = [width for (y, _), width in holds.items() if y == drawing.lanes[1].at]
    assert second == [pytest.approx((8.21 - 2.06) * per_second, abs=0.5)]
    assert sum(dot.kind == "bad" for dot in drawing.dots) == 3
    assert {mark.label for mark in drawing.ticks} >= {"0", "+2 s"}
