"""What a person sees: plain lines where nobody watches, live rows on a terminal, errors apart from results."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lab import console, output
from lab.cli.tables import leases_line, machines_table, phases_table
from lab.cluster.status import KubernetesNode, LoadBalancer, Member, Status
from lab.command import Note
from lab.console import Progress
from lab.errors import LabError
from lab.timeline import Timeline


def test_a_failure_goes_to_standard_error_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    console.fail(LabError("keepalived [bold] is gone", "look at [master1]"))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: keepalived [bold] is gone\n  → look at [master1]\n"


def test_what_others_wrote_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    said = 'name: "\x1b]0;x\x07\x1b[2J\u202e" is not allowed\n\tin the file'
    console.fail(LabError(said, said))
    console.warn(said)
    with Progress("lab ha: up", verbose=True) as progress:
        progress.line("master1", said)
    captured = capsys.readouterr()
    assert not {"\x1b", "\x07", "\u202e"} & {*captured.err, *captured.out}
    assert captured.err.count('"\\x1b]0;x\\x07\\x1b[2J\\u202e" is not allowed\n') == 3


def test_lines_are_never_wrapped_or_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    text = "[red]x[/red] :smile: " + "long " * 60
    console.say(text)
    assert capsys.readouterr().out == text + "\n"


class TestProgress:
    """Phases while they happen."""

    def test_without_a_terminal_each_phase_that_ends_is_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        with Progress("lab ha: up") as progress:
            timeline = Timeline(progress)
            with timeline.phase("init", "master1"):
                timeline.line("[certs] Generating", "master1")
            with pytest.raises(LabError), timeline.phase("box"):
                raise LabError("no")
        title, first, second = capsys.readouterr().out.splitlines()
        assert title == "lab ha: up"
        assert "✓ master1" in first
        assert "init" in first
        assert "✗ host" in second

    def test_verbose_shows_what_machines_say(self, capsys: pytest.CaptureFixture[str]) -> None:
        with Progress("up", verbose=True) as progress:
            progress.line("master1", "[certs] Generating\n")
            progress.line("master1", "   ")
        lines = capsys.readouterr().out.splitlines()
        assert lines[1].endswith("master1    | [certs] Generating")
        assert len(lines) == 2, "blank lines are left out"

    def test_what_goes_on_for_long_is_told(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(console, "STILL_SECONDS", 0.02)
        with Progress("up") as progress:
            progress.begin("master1", "init")
            progress._stop.wait(0.3)
        assert "still at: master1 init" in capsys.readouterr().out

    def test_a_terminal_shows_a_row_a_machine_with_its_last_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        screen = io.StringIO()
        monkeypatch.setattr(console, "out", Console(file=screen, force_terminal=True, width=100))
        with Progress("up") as progress:
            progress.begin("master1", "init")
            progress.begin("master2", "node")
            progress.line("master1", "first")
            progress.line("master1", "second")
            console.out.print(progress._rows())
        shown = screen.getvalue()
        row = next(line for line in shown.splitlines() if "init" in line and "second" in line)
        assert "master1" in row
        assert "first" not in row


def status() -> Status:
    return Status(
        lab="ha",
        provider="lxc",
        endpoint="10.21.0.100:16443",
        vip="10.21.0.100",
        holders=("m1",),
        machines=(
            {"name": "m1", "role": "master", "address": "10.21.0.11", "state": "running"},
            {"name": "m2", "role": "master", "address": "10.21.0.12", "state": "stopped"},
            {"name": "w1", "role": "worker", "address": "10.21.0.13", "state": "running"},
        ),
        loadbalancers={
            "m1": LoadBalancer("active", "active", {"m1": "UP", "m2": "DOWN"}),
            "m2": LoadBalancer("unknown", "unknown", {}),
        },
        nodes=(
            KubernetesNode("m1", True, "10.21.0.11", "v1.20.2", "1"),
            KubernetesNode("m2", False, "10.21.0.12", "v1.20.2", "2"),
        ),
        leases={"kube-scheduler": "m1", "kube-controller-manager": ""},
        etcd=(Member("1", "m1", ("https://10.21.0.11:2380",), True),),
    )


def test_the_machines_table_says_what_each_is_and_does() -> None:
    columns, rows = machines_table(status())
    table = [dict(zip(columns, (str(cell) for cell in row), strict=True)) for row in rows]
    assert table[0] == {
        "machine": "m1", "role": "master", "address": "10.21.0.11", "state": "running", "node": "Ready",
        "VIP": "holds", "backends": "1/2", "etcd": "leads",
    }  # fmt: skip
    assert table[1]["node"] == "NotReady"
    assert table[1]["state"] == "stopped"
    assert table[2]["node"] == table[2]["backends"] == "–"


def test_a_status_fits_a_small_terminal() -> None:
    screen = io.StringIO()
    small = Console(file=screen, width=80)
    from lab.commands.status import _picture

    small.print(_picture(status()))
    assert "10.21.0.11" in screen.getvalue()
    assert "…" not in screen.getvalue()
    assert "kube-scheduler leads on m1, kube-controller-manager leads on no machine" in screen.getvalue()


def test_before_a_cluster_nobody_leads() -> None:
    assert leases_line(Status("ha", "lxc", "e", "v", (), (), {}, (), {}, ())) == ""


def test_the_phase_table_has_a_bar_on_one_time_axis_and_a_total() -> None:
    with Progress("up") as progress:
        timeline = Timeline(progress)
        with timeline.phase("node", "m1"):
            progress._stop.wait(0.05)
        with timeline.phase("haproxy", "m1"):
            progress._stop.wait(0.05)
    columns, rows = phases_table(timeline)
    bars = [str(row[-1]) for row in rows]
    assert [str(row[1]) for row in rows] == ["node", "haproxy", "total"]
    assert bars[0].startswith("━")
    assert bars[1].startswith(" "), "it began later"
    assert float(str(rows[-1][3])) == pytest.approx(timeline.elapsed, abs=0.2)
    assert len(columns) == len(rows[0])


def test_a_note_stays_where_other_lines_pass(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("up") as progress:
        progress.line("", "passes")
        progress.line("master1", Note("etcd has lost its quorum"))
    said = capsys.readouterr().out
    assert "! master1: etcd has lost its quorum" in said
    assert "passes" not in said


def test_what_is_shown_again_and_again_ends_when_nobody_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def render() -> str:
        shown.append("status")
        if len(shown) > 2:
            monkeypatch.setattr(output, "lost", lambda: True)
        return "status"

    console.watch(render, 0.01)
    assert len(shown) == 3
