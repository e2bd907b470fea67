"""What is fast enough is told by the history itself: an emulated client is judged by what it can do."""

from __future__ import annotations

import pytest

from lab.verify.checks.client import steady_client
from lab.verify.pace import EMULATED, NATIVE, Pace, pace_of
from lab.verify.recorded import Recorded
from lab.verify.records import Header, Phase, Probe, read
from lab.verify.verdict import Outcome


def history(pace: Pace, rate: float, latency: float) -> Recorded:
    """Four steady seconds of connections at a rate, each answered after ``latency`` seconds."""
    phases = [Phase(name=name, t=at, r=at) for name, at in (("steady", 0.0), ("end", 4.0))]
    starts = [number / rate + 0.001 for number in range(int(4 * rate))]
    probes = [Probe(source="worker1", t=at, r=at, latency=latency, late=0.0, outcome="ok") for at in starts]
    return Recorded([Header(t=0.0, r=0.0, pace=pace), *phases, *probes])


@pytest.mark.parametrize(
    ("pace", "rate", "latency", "outcome"),
    [
        (NATIVE, 50, 0.01, Outcome.PASS),
        (NATIVE, 50, 0.5, Outcome.UNKNOWN),
        (NATIVE, 5, 0.01, Outcome.UNKNOWN),
        (EMULATED, 5, 0.5, Outcome.PASS),
        (EMULATED, 5, 3.0, Outcome.UNKNOWN),
        (EMULATED, 2, 0.5, Outcome.UNKNOWN),
    ],
)
def test_the_client_is_judged_by_its_own_pace(pace: Pace, rate: float, latency: float, outcome: Outcome) -> None:
    assert steady_client(history(pace, rate, latency)).outcome is outcome


def test_only_emulated_machines_are_given_time() -> None:
    assert [pace_of(driver) for driver in ("", "kvm", "qemu")] == [NATIVE, NATIVE, EMULATED]


def test_a_history_gives_back_the_pace_that_was_written() -> None:
    assert Recorded([read(Header(pace=EMULATED).model_dump())]).pace == EMULATED
    assert Recorded([read({"kind": "header"})]).pace == NATIVE, "older histories knew one only"


def test_a_connection_is_never_called_slow_after_it_was_given_up() -> None:
    for pace in (NATIVE, EMULATED):
        assert pace.slow < pace.patience
