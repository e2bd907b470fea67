"""``up`` is killed as by a crash, or interrupted: the next one comes to the same healthy lab, ``destroy`` to none.

HALAB_KILL_MOMENTS says how many moments are tried (6 unless told; 20 are every boundary and as many chosen by a seeded
die). The table is printed and stored in .lab/killed/runs/.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from hosts import Snapshot, belonging, differences, left_of, snapshot
from killing import Moment, kill_at
from running import FOLDER, Done, Inv, healthy, until

from lab.definition import load
from lab.project import DEFAULT_DEFINITION
from lab.topology import derive

pytestmark = [pytest.mark.live, pytest.mark.long]

TOPOLOGY = derive(load(DEFAULT_DEFINITION), driver="")
NODES = sorted(node.name for node in TOPOLOGY.nodes)

#: Boundaries between phases, (machine, phase): the kill falls when the phase begins. Those that matter most come first.
BOUNDARIES = (
    ("master2", "join"),
    ("host", "machines"),
    ("master1", "init"),
    ("host", "healthy"),
    ("master3", "join"),
    ("host", "network"),
    ("master2", "keepalived"),
    ("worker1", "join"),
    ("master1", "containerd"),
    ("host", "virtual IP"),
    ("master2", "credential"),
    ("master3", "haproxy"),
    ("worker1", "kubernetes"),
    ("master1", "node"),
    ("host", "image seed"),
    ("host", "box"),
)

#: Moments between boundaries are seconds after the start, drawn with this seed, so that a run can be repeated.
SEED = 20

#: Seconds for a lab to come up, on a host that others use too.
UP = 1200.0


@dataclass(frozen=True)
class Row:
    """What came of one kill. Times are in seconds."""

    moment: str
    under_way: str
    found: str
    said: str
    healthy: float
    destroyed: float


def moments(number: int, length: float) -> list[Moment]:
    """Boundaries and random moments in turn; ``length`` is how long an ``up`` takes that nobody kills."""
    die = random.Random(SEED)
    half = min((number + 1) // 2, len(BOUNDARIES))
    fixed = [Moment(machine, phase) for machine, phase in BOUNDARIES[:half]]
    drawn = [Moment(seconds=round(die.uniform(0.2, length), 1)) for _ in range(number - half)]
    mixed = [moment for pair in zip(fixed, drawn, strict=False) for moment in pair]
    return [*mixed, *fixed[len(drawn) :], *drawn[half:]]


@pytest.fixture(scope="module")
def inv(containers: None) -> Iterator[Inv]:
    """A lab of the default definition under a name of its own; whatever happens, nothing of it stays."""
    inv = Inv("killed", mark=uuid.uuid4().hex)
    inv("destroy", "--all")
    try:
        yield inv
    finally:
        inv("destroy", status=None)


@pytest.fixture(scope="module")
def before(inv: Inv) -> Snapshot:
    """The host before any of it."""
    return snapshot()


def under_way(said: str) -> str:
    """The phases that had begun and not ended, from the lines that ``up --verbose`` printed."""
    begun = re.findall(r"^ *[\d.]+ s  (\S+) +(.+) …$", said, re.MULTILINE)
    ended = re.findall(r"^ *[\d.]+ s [✓✗] (\S+) +(.+?) +[\d.]+ s$", said, re.MULTILINE)
    for phase in ended:
        if phase in begun:
            begun.remove(phase)
    return ", ".join(f"{machine} {phase}" for machine, phase in begun) or "nothing"


def found(inv: Inv) -> str:
    """What the dead ``up`` left, before anything is mended."""
    status = inv("status", "--json", status=None)
    if status.status not in (0, 1) or not status.out:
        return status.err.strip().splitlines()[0].removeprefix("error: ")
    seen = status.json()
    machines = ", ".join(f"{one['name']} {one['state']}" for one in seen["machines"] if one["state"] != "running")
    ready = [node["name"] for node in seen["nodes"] if node["ready"]]
    return f"{machines or 'all machines run'}; {len(ready)} nodes Ready; {len(seen['etcd'])} etcd members"


def said_of_repair(said: str) -> str:
    """What the resuming ``up`` said that it mended."""
    telling = ("half-made", "Starting again", "start again", "removed etcd member", "left over", "interrupted")
    lines = [re.sub(r"^ *[\d.]+ s +", "", line).strip() for line in said.splitlines()]
    return "; ".join(dict.fromkeys(line for line in lines if any(word in line for word in telling)))


def resumed(inv: Inv) -> Done:
    """Go on where the dead ``up`` stopped, and judge the result by the cluster itself."""
    done = inv.up("--verbose", seconds=UP)
    assert healthy(inv.status())
    path = '{range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
    listed = inv("kubectl", "get", "nodes", "-o", f"jsonpath={path}").out
    assert dict(line.split() for line in listed.splitlines()) == dict.fromkeys(NODES, "True")
    return done


def gone(inv: Inv, before: Snapshot) -> float:
    """Destroy the lab; nothing of it may be left. Returns how long it took."""
    living = belonging(inv.identity.prefix, inv.state, inv.mark)
    done = inv("destroy", seconds=120)
    left = [f"process {process}" for process in living if process.lives]
    left += left_of(inv.identity.prefix, inv.state)
    left += differences(before, snapshot(), [inv.identity.prefix])
    assert left == [], f"after {done}"
    return done.seconds


def test_killed_and_resumed(inv: Inv, before: Snapshot, capfd: pytest.CaptureFixture[str]) -> None:
    number = int(os.environ.get("HALAB_KILL_MOMENTS", "6"))
    inv.up(seconds=2400.0)  # builds what the cache lacks: moments are drawn from an ``up`` that need not
    gone(inv, before)
    undisturbed = inv.up().seconds
    gone(inv, before)
    rows: list[Row] = []
    started = time.strftime("%Y%m%d-%H%M%S")
    try:
        for moment in moments(number, undisturbed):
            # Once to see that destroy copes with it, once more to see that up does.
            kill_at(inv, moment)
            destroyed = gone(inv, before)
            killed = kill_at(inv, moment)
            left = found(inv)
            done = resumed(inv)
            rows.append(
                Row(str(moment), under_way(killed.out), left, said_of_repair(done.out), done.seconds, destroyed)
            )
            gone(inv, before)
    finally:
        with capfd.disabled():
            _show(rows, undisturbed)
        _store(inv, started, rows, undisturbed)
    assert len(rows) == number


def test_killed_again_and_again(inv: Inv, before: Snapshot) -> None:
    """One lab, killed at one boundary after another on its way up, no mercy in between."""
    row = [
        ("host", "box"),
        ("host", "network"),
        ("host", "machines"),
        ("master1", "node"),
        ("master1", "keepalived"),
        ("master1", "containerd"),
        ("host", "virtual IP"),
        ("master1", "init"),
        ("master2", "join"),
        ("master3", "join"),
        ("host", "healthy"),
    ]
    for machine, phase in row:
        kill_at(inv, Moment(machine, phase))
    resumed(inv)
    gone(inv, before)


#: What a join that was killed between two moments of kubeadm's leaves: a member of etcd that never starts.
GHOST = """
cd /etc/kubernetes/pki/etcd
curl --silent --show-error --fail --cacert ca.crt --cert server.crt --key server.key \
  --data '{{"peerURLs": ["https://{address}:2380"]}}' https://127.0.0.1:2379/v3/cluster/member/add
"""


def test_a_cluster_that_lost_its_quorum_half_way_is_begun_again_and_that_is_said(inv: Inv, before: Snapshot) -> None:
    kill_at(inv, Moment("master2", "credential"))
    inv.on("master2", "mkdir -p /var/lib/halab && touch /var/lib/halab/began")
    address = next(str(node.address) for node in TOPOLOGY.nodes if node.name == "master2")
    assert address in inv.on("master1", GHOST.format(address=address))
    done = resumed(inv)
    assert "etcd has lost its quorum: master2 was added and never started. Starting again from init" in done.out
    phases = re.findall(r"✓ +(\w+ +\w+(?: \w+)?)", done.out)
    assert [" ".join(phase.split()) for phase in phases].count("master1 init") == 1
    assert len(inv.status()["etcd"]) == 3
    gone(inv, before)


@pytest.mark.parametrize("moment", [Moment("host", "machines"), Moment("master1", "init")], ids=str)
def test_interrupted(inv: Inv, before: Snapshot, moment: Moment) -> None:
    done = kill_at(inv, moment, number=signal.SIGINT)
    done.expect(130)
    assert re.search(rf"✗ {moment.machine} +{moment.phase}\b", done.out), f"where it stopped is not said: {done}"
    assert "interrupted" in done.err
    assert "goes on" in done.err
    assert "Traceback" not in done.err
    # Connections that are kept for the next command may stay (ssh_config(5), ControlPersist); one that is about to
    # become such a connection still has the words of the command that opened it, and gets the time to change them.
    until(lambda: _commands(inv), lambda found: not found, "its commands to end with it", 5)
    if moment.phase == "init":
        resumed(inv)
    gone(inv, before)


def _commands(inv: Inv) -> list[str]:
    """The words of the lab's commands outside its machines, kept connections left out."""
    outside = [one for one in belonging(inv.identity.prefix, inv.state, inv.mark) if not one.machine]
    return [process.words for process in outside if "[mux]" not in process.words]


def _show(rows: list[Row], undisturbed: float) -> None:
    lines = ["", f"up took {undisturbed:.0f} s when nobody killed it (seed {SEED})"]
    head = ("killed when", "under way", "found", "said", "healthy after s", "destroyed in s")
    table = [
        head,
        *((r.moment, r.under_way, r.found, r.said, f"{r.healthy:.1f}", f"{r.destroyed:.1f}") for r in rows),
    ]
    lines += [" | ".join(row) for row in table]
    sys.stdout.write("\n".join(lines) + "\n")


def _store(inv: Inv, started: str, rows: list[Row], undisturbed: float) -> Path:
    folder = FOLDER / ".lab" / inv.lab / "runs" / f"{started}-killed"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "moments.json"
    data = {"seed": SEED, "undisturbed_s": undisturbed, "moments": [asdict(row) for row in rows]}
    file.write_text(json.dumps(data, indent=1) + "\n")
    return file
