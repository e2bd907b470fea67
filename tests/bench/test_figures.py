"""What several rounds come to: spreads, the table's words, the plot."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from lab.bench.bringup import figures
from lab.bench.figures import as_data, collect, seconds
from lab.bench.plot import plot
from lab.bench.processors import busy, worked
from lab.timeline import Phase

ROUNDS = [{"total": 70.0, "destroy": 0.5}, {"total": 66.0, "destroy": 0.7}, {"total": 68.0}]


def test_a_spread_keeps_every_round_in_its_order() -> None:
    found = collect(ROUNDS)
    assert found["total"].values == (70.0, 66.0, 68.0)
    assert found["destroy"].values == (0.5, 0.7), "a round that has no such figure adds none"
    assert list(found) == ["total", "destroy"]


def test_median_least_and_most_are_shown() -> None:
    assert collect(ROUNDS)["total"].shown() == ["68.0 s", "66.0 s", "70.0 s", "3"]
    assert collect(ROUNDS)["destroy"].shown() == ["600 ms", "500 ms", "700 ms", "2"]


@pytest.mark.parametrize(("value", "shown"), [(0.0, "0 ms"), (0.0996, "100 ms"), (0.999, "999 ms"), (1.0, "1.0 s")])
def test_milliseconds_where_seconds_would_hide_the_figure(value: float, shown: str) -> None:
    assert seconds(value) == shown


def test_the_data_has_every_value() -> None:
    assert as_data(collect(ROUNDS))["total"] == {"median": 68.0, "min": 66.0, "max": 70.0, "values": [70.0, 66.0, 68.0]}


def test_the_plot_has_a_dot_a_round_and_a_bar_a_figure() -> None:
    drawn = ElementTree.fromstring(plot("up <3 rounds>", collect(ROUNDS)))
    space = "{http://www.w3.org/2000/svg}"
    dots = drawn.findall(f"{space}circle")
    assert len(dots) == 5
    assert sum(line.get("class") == "median" for line in drawn.findall(f"{space}line")) == 2
    assert {"up <3 rounds>", "total", "destroy", "68.0 s", "600 ms"} <= {
        text.text for text in drawn.findall(f"{space}text")
    }
    farthest = max(dots, key=lambda dot: float(dot.get("cx", "0")))
    assert farthest is dots[0], "70 s lies farthest to the right"


def test_of_a_round_it_is_told_what_bounds_it() -> None:
    phases = [
        Phase("", "box", 0, 0.1, True),
        Phase("m1", "init", 1, 17.0, True),
        Phase("w1", "join", 18, 13.0, True),
        Phase("m2", "join", 18, 20.0, True),
    ]
    found = figures(phases, ["m1", "m2"], 60.0, 45.0)
    assert found["host box"] == 0.1
    assert found["total"] == 60.0
    assert found["of it kubeadm, master after master"] == 37.0, "the worker joins beside them"
    assert found["of it processors busy"] == 45.0


def test_busy_is_all_but_idle_and_waiting_and_guests_are_not_counted_twice() -> None:
    stat = "cpu  100 20 30 4000 500 6 4 0 90 10\ncpu0 1 1 1 1 1 1 1 0 0 0\n"
    assert busy(stat, 100, 2) == pytest.approx(0.8)


def test_this_host_has_worked() -> None:
    before = worked()
    assert before > 0
    assert worked() >= before
