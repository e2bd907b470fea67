"""``verify`` is killed or interrupted while a fault is open on a real lab: the next command heals it, or it itself."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hosts import belonging
from judging import BACK, TOPOLOGY, Shared
from running import FOLDER, Inv, Running, healthy, until
from terminal import CTRL_C, terminal

from lab.faults.haproxy import NO_RESTART
from lab.faults.ledger import Ledger
from lab.faults.scheduler import MANIFEST
from lab.report import report_again

pytestmark = pytest.mark.live

#: Seconds in which a case comes to its fault: a steady lab is waited for.
BEGINS = 120.0

#: Seconds in which a probe ends whose verify was killed. It notices by the next thing that it has to tell: for a lease
#: a renewal, and there is none between two leaders: the lease's 15, two looks of 4.4 each, and 5 for the kubelet.
PROBES_END = 30.0


def history(inv: Inv, known: set[Path], kind: str = "verify") -> list[Mapping[str, Any]]:
    """What a run that was not known before has recorded so far (its last line may be half written)."""
    lines = [line for run in set(inv.runs(kind)) - known for line in _lines(run / "history.jsonl")]
    return [json.loads(line) for line in lines if line.endswith("}")]


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def happened(records: list[Mapping[str, Any]], event: str) -> bool:
    """Did a fault come so far? Pods are created in the event ``burst``."""
    return any(event in (record.get("event"), record["kind"]) for record in records)


def reached(inv: Inv, process: subprocess.Popen[bytes], known: set[Path], event: str, kind: str = "verify") -> None:
    """Wait for what a case records; one that ends without it (the lab was never steady, say) is not waited for."""

    def seen() -> bool:
        return happened(history(inv, known, kind), event)

    until(lambda: seen() or process.poll() is not None, bool, event, BEGINS, interval=0.01)
    said = [record["text"] for record in history(inv, known, kind) if "text" in record]
    assert seen(), f"it ended before that: {said}"


def open_faults(inv: Inv) -> list[str]:
    """What the ledger has: "NAME on NODE"."""
    return [str(entry) for entry in Ledger(inv.state / "faults.json").entries()]


@contextmanager
def verifying(lab: Shared, case: str, event: str) -> Iterator[Running]:
    """``verify`` of one case, at this event."""
    lab.healthy()
    known = set(lab.inv.runs("verify"))
    with lab.inv.start("verify", "--case", case) as running:
        reached(lab.inv, running.process, known, event)
        yield running


def probes(inv: Inv) -> list[str]:
    """The probes that run, and the connections over which they are heard."""
    return [one.words for one in belonging(inv.identity.prefix, inv.state, inv.mark) if "python3 -u -" in one.words]


def whole(lab: Shared, node: str) -> None:
    """Nothing that any fault did is left on a machine, and the lab is well."""
    lab.inv.until(healthy, "a healthy lab", BACK)
    if node in lab.masters:
        pid = "systemctl show --property MainPID --value haproxy.service"
        looks = (
            f"test ! -e {NO_RESTART}; echo no-drop-in $?; test -e {MANIFEST}; echo manifest $?; "
            f"sed -n 's/^State:.\\(.\\).*/haproxy \\1/p' /proc/$({pid})/status"
        )
        assert lab.inv.on(node, looks).splitlines() == ["no-drop-in 0", "manifest 0", "haproxy S"]
    pods = lab.inv("kubectl", "get", "pods", "--output", "name", "--selector", "app=halab-verify").out
    assert pods == ""
    assert open_faults(lab.inv) == []


@pytest.mark.parametrize(
    ("case", "event", "fault", "later"),
    [
        ("haproxy-stop", "begun", "haproxy-stop", ["up"]),
        ("haproxy-kill", "begun", "haproxy-kill", ["resume"]),
        ("haproxy-crash", "begun", "haproxy-crash", ["resume"]),
        ("haproxy-hang", "begun", "haproxy-hang", ["verify", "--case", "api-spread"]),
        ("keepalived-stop", "begun", "keepalived-stop", ["resume"]),
        ("scheduler-failover", "begun", "scheduler-remove", ["resume"]),
        ("power-cut", "begun", "power-cut", ["resume"]),
        ("pause", "begun", "pause", ["up"]),
        ("api-spread", "burst", "test-pods", ["resume"]),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_killed_verify_leaves_its_fault_to_the_next_command(
    lab: Shared, case: str, event: str, fault: str, later: list[str]
) -> None:
    with verifying(lab, case, event) as running:
        running.signal(signal.SIGKILL)
        assert running.wait(10).status == -signal.SIGKILL
    (left,) = (one for one in open_faults(lab.inv) if one.startswith(f"{fault} on "))
    problems = lab.inv.status()["problems"]
    named = [problem for problem in problems if problem.startswith(f"still open: {left}: ")]
    assert len(named) == (fault != "test-pods"), "litter does no harm"
    assert "it was killed before its end" in report_again(lab.inv.runs("verify")[-1]).read_text()
    done = lab.inv(*later, seconds=BACK)
    assert f"healing a fault that an earlier command left open: {left}" in done.out
    until(lambda: probes(lab.inv), lambda found: not found, "the probes to end with it", PROBES_END)
    whole(lab, left.rpartition(" ")[2])


def _closed(lab: Shared, case: str, event: str) -> int:
    """A person closes the window in which ``verify`` runs, at this event; its exit status."""
    lab.healthy()
    known = set(lab.inv.runs("verify"))
    argv = [str(FOLDER / "inv"), *lab.inv.argv("verify", "--case", case)]
    with terminal(argv, FOLDER, lab.inv.environment()) as seen:
        reached(lab.inv, seen.process, known, event)
        seen.close()
        return seen.ends(60)


def _pressed(lab: Shared, case: str, event: str) -> int:
    """A person presses Ctrl-C once more than is needed: the second time is told what is still open."""
    lab.healthy()
    known = set(lab.inv.runs("verify"))
    argv = [str(FOLDER / "inv"), *lab.inv.argv("verify", "--case", case)]
    with terminal(argv, FOLDER, lab.inv.environment()) as seen:
        reached(lab.inv, seen.process, known, event)
        seen.press(CTRL_C)
        seen.shows("interrupted; undone before the end: ")
        seen.press(CTRL_C)
        seen.shows("still open: ")
        return seen.ends(60)


def _ended(lab: Shared, case: str, event: str) -> int:
    """The program is asked to end, as by a machine that shuts down."""
    with verifying(lab, case, event) as running:
        running.signal(signal.SIGTERM)
        return running.wait(60).status


#: Makes haproxy's start, and so its heal, take so long that whatever shall fall into it does.
SLOW = "/run/systemd/system/haproxy.service.d/test-slow-start.conf"


@pytest.fixture(scope="module")
def slow_start(lab: Shared) -> Iterator[None]:
    """haproxy takes two seconds to start on every master."""
    make = f"mkdir -p {Path(SLOW).parent}; printf '[Service]\\nExecStartPre=/bin/sleep 2\\n' > {SLOW}"
    for node in lab.masters:
        lab.inv.on(node, f"{make}; systemctl daemon-reload")
    yield
    for node in lab.masters:
        lab.inv.on(node, f"rm -f {SLOW}; systemctl daemon-reload")


Way = Callable[[Shared, str, str], int]


@pytest.mark.parametrize(
    ("way", "case", "event"),
    [
        (_pressed, "haproxy-stop", "begun"),
        (_ended, "api-spread", "burst"),
        (_closed, "haproxy-hang", "heal"),
        pytest.param(_closed, "haproxy-kill", "begun", marks=pytest.mark.long),
        pytest.param(_pressed, "haproxy-kill", "heal", marks=pytest.mark.long),
        pytest.param(_ended, "pause", "begun", marks=pytest.mark.long),
        pytest.param(_ended, "power-cut", "heal", marks=pytest.mark.long),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_an_interrupted_verify_heals_before_it_ends(
    lab: Shared, slow_start: None, way: Way, case: str, event: str
) -> None:
    known = set(lab.inv.runs("verify"))
    assert way(lab, case, event) == 130
    assert open_faults(lab.inv) == []
    records = history(lab.inv, known)
    faults = [record for record in records if record["kind"] == "fault"]
    assert [record["event"] for record in faults] == (["begin", "begun", "heal", "healed"] if faults else [])
    assert [record["text"] for record in records if record["kind"] == "broken-off"] == ["it was interrupted"]
    whole(lab, str(faults[0]["fault"]["targets"][0]) if faults else TOPOLOGY.workers[0].name)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_a_bench_that_ends_early_leaves_no_other_load_balancer(lab: Shared, number: signal.Signals) -> None:
    lab.healthy()
    own = {node: lab.inv.on(node, "cat /etc/keepalived/keepalived.conf") for node in lab.masters}
    known = set(lab.inv.runs("bench-round"))
    settings = str(FOLDER / "configs" / "article.yaml")
    with lab.inv.start("bench", "failover", "--rounds", "1", "--settings", settings) as running:
        reached(lab.inv, running.process, known, "begun", kind="bench-round")
        running.signal(number)
        done = running.wait(BACK)
    if number is signal.SIGKILL:
        assert "still open: the load balancer of article: " in lab.inv("status", status=1).out
        verified = lab.inv("verify", "--case", "haproxy-stop", status=2).out
        assert "healing a fault that an earlier command left open: haproxy-stop" in verified
        assert "left the load balancer of article" in verified
        lab.inv.up()
    else:
        assert done.expect(130).err.rstrip().endswith("interrupted")
    assert {node: lab.inv.on(node, "cat /etc/keepalived/keepalived.conf") for node in lab.masters} == own
    assert not (lab.inv.state / "borrowed").exists()
    whole(lab, lab.masters[0])
