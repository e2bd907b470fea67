"""The load balancer of a lab that runs gets other settings; the step that brings them is killed half-way."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from judging import Shared, all_well
from running import Inv, until

from lab.project import DEFAULT_DEFINITION

pytestmark = pytest.mark.live

#: Found before the real one by every script that runs as root: whoever is about to tell systemd of a unit dies.
DEADLY = """#!/bin/sh
case "$*" in *{unit}*) kill -KILL "$PPID" ;; esac
exec /usr/bin/systemctl "$@"
"""

#: Where it lies.
PLACE = "/usr/local/sbin/systemctl"

#: What keepalived itself says that it runs with.
TELL = """
rm -f /tmp/keepalived.data
kill -s "$(keepalived --signum=DATA)" "$(systemctl show -P MainPID keepalived.service)"
for _ in $(seq 100); do ! grep -q 'refresh timer' /tmp/keepalived.data 2> /dev/null || break; sleep 0.05; done
sed -n 's/^ *Gratuitous ARP refresh timer = //p' /tmp/keepalived.data
rm -f /tmp/keepalived.data
"""

#: Settings in words of the default definition, and other ones.
OTHERS = {"haproxy": ("balance: roundrobin", "balance: leastconn"), "keepalived": ("refresh: 2", "refresh: 7")}


def with_settings(inv: Inv, file: Path, *changed: str) -> Inv:
    """The same lab with another definition."""
    text = DEFAULT_DEFINITION.read_text()
    for part in changed:
        assert OTHERS[part][0] in text
        text = text.replace(*OTHERS[part])
    file.write_text(text)
    return replace(inv, definition=file)


def running_with(inv: Inv, node: str) -> tuple[str, str]:
    """haproxy's way to choose a backend, and keepalived's seconds between reminders, as the running programs say."""
    shown = inv.on(node, "echo 'show stat' | socat stdio /run/haproxy/admin.sock")
    rows = csv.DictReader(io.StringIO(shown.removeprefix("# ")))
    (balance,) = (row["algo"] for row in rows if (row["pxname"], row["svname"]) == ("apiservers", "BACKEND"))
    return balance, inv.on(node, TELL).strip()


@contextmanager
def deadly(inv: Inv, node: str, unit: str) -> Iterator[None]:
    """On this machine every step is killed (SIGKILL) at its first word to systemd about the unit."""
    inv.on(node, f"cat > {PLACE} && chmod 0755 {PLACE}", stdin=DEADLY.format(unit=unit))
    try:
        yield
    finally:
        inv.on(node, f"rm -f {PLACE}")


@pytest.mark.parametrize(
    ("part", "meanwhile", "becomes"),
    [
        ("haproxy", ("roundrobin", "2"), ("leastconn", "2")),
        # It left the election for the change, and came back with what its file said by then.
        ("keepalived", ("roundrobin", "7"), ("roundrobin", "7")),
    ],
)
def test_a_step_that_is_killed_before_its_restart_is_brought_to_its_end(
    part: str, meanwhile: tuple[str, str], becomes: tuple[str, str], lab: Shared, tmp_path: Path
) -> None:
    lab.healthy()
    victim = lab.masters[1]
    was = running_with(lab.inv, victim)
    assert was == ("roundrobin", "2")
    changed = with_settings(lab.inv, tmp_path / "changed.yaml", part)
    file = {"haproxy": "/etc/haproxy/haproxy.cfg", "keepalived": "/etc/keepalived/keepalived.conf"}[part]
    try:
        with deadly(lab.inv, victim, f"{part}.service"):
            done = changed.up(status=1)
        assert f"command failed on {victim}" in done.err and f"step {part}" in done.err
        assert lab.inv.on(victim, f"grep -c '{OTHERS[part][1].split()[1]}' {file}").strip() != "0", (
            "the file has changed"
        )
        assert running_with(lab.inv, victim) == meanwhile

        known = set(lab.inv.runs("verify"))
        unknown = lab.inv("verify", "--case", "haproxy-failover", seconds=120, status=2)
        assert f"{part} not applied on {victim}" in " ".join(unknown.out.split())
        (run,) = set(lab.inv.runs("verify")) - known
        assert json.loads((run / "verdict.json").read_text())["outcome"] == "unknown"
        assert f"{part} not applied on {victim}" in (run / "report.html").read_text()
        (suite,) = ElementTree.parse(run / "junit.xml").getroot()
        assert (suite.get("failures"), suite.get("errors")) == ("0", suite.get("tests"))
        assert '"fault"' not in (run / "history.jsonl").read_text(), "nothing was broken"

        changed.up()
        until(lambda: {running_with(lab.inv, node) for node in lab.masters}, lambda seen: seen == {becomes}, "them", 30)
        units = lab.inv.on(victim, "systemctl show -P NeedDaemonReload haproxy.service keepalived.service")
        assert set(units.split()) == {"no"}
        assert lab.inv.on(victim, "ls /run/halab/changed").split() == [], "nothing more is due"
        assert "nothing had to change" in changed.up().out
    finally:
        with_settings(lab.inv, tmp_path / "own.yaml").up()
    assert {running_with(lab.inv, node) for node in lab.masters} == {was}
    all_well(lab, tmp_path)


def test_a_plan_changes_nothing_and_verify_still_judges_what_runs(lab: Shared, tmp_path: Path) -> None:
    lab.healthy()
    own = lab.inv.state / "nodes/master1/haproxy.sh"
    before = own.read_text()
    planned = with_settings(lab.inv, tmp_path / "changed.yaml", "haproxy", "keepalived")
    told = " ".join(planned("plan").out.split())
    assert "/plan, " in told and "not what lab e2e has: ./inv up applies them" in told
    assert own.read_text() == before
    assert "balance leastconn" in (lab.inv.state / "plan/nodes/master1/haproxy.sh").read_text()
    done = lab.inv("verify", "--case", "api-spread", seconds=300, status=None)
    assert "not applied" not in done.out and "changed in the lab's folder" not in done.out
    done.expect(0)
    assert "nothing had to change" in lab.inv.up().out


def test_a_script_that_somebody_edited_is_named(lab: Shared) -> None:
    lab.healthy()
    script = lab.inv.state / "nodes/worker1/node.sh"
    script.write_text(script.read_text() + "# edited\n")
    done = lab.inv("verify", "--case", "api-spread", seconds=120, status=2)
    assert "node of worker1 changed in the lab's folder" in " ".join(done.out.split())
    lab.inv.up()
    assert "# edited" not in script.read_text()
