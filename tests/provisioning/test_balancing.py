"""A load balancer that is in use changes: who is touched when, who has the VIP meanwhile, and what a failure leaves.

The masters are played here, with keepalived's own settings as they are rendered; real ones change in tests/e2e.
"""

from __future__ import annotations

import shlex
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from listening import Deaf

from lab.command import CommandError, Result
from lab.definition import parse
from lab.identity import Identity
from lab.plan import render
from lab.plan.change import Change
from lab.plan.election import Router, read
from lab.plan.site import ContainerSite
from lab.provisioning import Script, Work, balance, balancing
from lab.provisioning.balancing import IN_FORCE, PART, SETTINGS
from lab.provisioning.step import RECORD
from lab.timeline import Timeline
from lab.topology import Topology, derive
from lab.waiting import WaitTimeout

SITE = ContainerSite(Identity("ha", Path("/home/somebody/halab")))
STEPS = ("node", "haproxy", "keepalived")


def made(**keepalived: object) -> Topology:
    """Three masters with these settings of keepalived (as YAML flow values)."""
    nodes = ", ".join(f"{{name: master{n}, role: master}}" for n in (1, 2, 3))
    said = ", ".join(f"{name}: {value}" for name, value in keepalived.items())
    return derive(parse(f"nodes: [{nodes}]\nkeepalived: {{{said}}}\n"), "")


def scripts(lab: Topology) -> dict[tuple[str, str], Script]:
    """Every master's steps as they are rendered."""
    files = render(lab, SITE, vagrantfile=False)
    return {
        (node.name, step): Script(step, node.name, files[f"nodes/{node.name}/{step}.sh"].content)
        for node in lab.load_balancers
        for step in STEPS
    }


@dataclass
class Masters:
    """The masters of one lab. ``told`` is what happened, in turn; ``ill`` are (master, step) that fail.

    ``deaf`` never come back to the election once they have new settings; ``unserved`` have a haproxy that is dead.
    """

    lab: Topology
    settings: dict[str, str] = field(default_factory=dict)
    running: dict[str, Router] = field(default_factory=dict)
    holder: str = ""
    told: list[str] = field(default_factory=list)
    takes: int = 0
    ill: set[tuple[str, str]] = field(default_factory=set)
    deaf: set[str] = field(default_factory=set)
    unserved: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, *names: str) -> None:
        """These run with the lab's settings, and the best has the VIP."""
        files = render(self.lab, SITE, vagrantfile=False)
        for name in names:
            self.settings[name] = files[f"nodes/{name}/keepalived.conf"].content
            self.start(name)
        self.told.clear()
        self.takes = 0

    def stop(self, name: str) -> None:
        if self.running.pop(name, None) is None:
            return
        self.told.append(f"{name} leaves")
        if self.holder == name:
            self.holder = max(self.running, key=lambda other: self.running[other].rank, default="")
            self.takes += bool(self.holder)

    def start(self, name: str) -> None:
        if name in self.running:
            return
        router = read(self.settings[name], self.lab.node(name).address)
        assert router is not None
        strangers = [other for other, one in self.running.items() if not one.understands(router)]
        assert not strangers, f"{name} and {strangers} would both hold the VIP"
        self.running[name] = router
        if not self.holder or router.outranks(self.running[self.holder]):
            self.holder, self.takes = name, self.takes + 1

    def step(self, name: str, label: str, script: str) -> int:
        step = label.removeprefix("step ")
        self.told.append(f"{name} {step}")
        if (name, step) in self.ill:
            return 1
        if step == "haproxy":
            self.unserved.discard(name)
        if step == "keepalived":
            new = script.partition("cat > \"$config\" <<'EOF'\n")[2].partition("\nEOF\n")[0] + "\n"
            if new != self.settings.get(name):
                self.stop(name)
            self.settings[name] = new
            self.start(name)
        return 0

    def machine(self, name: str) -> Machine:
        return Machine(name, self)


@dataclass(frozen=True)
class Machine:
    """One master, as far as provisioning speaks with it."""

    name: str
    masters: Masters

    def run(self, script: str, args: Sequence[str] = (), *, label: str = "", **_: object) -> Result:
        masters, status, said = self.masters, 0, ""
        with masters.lock:
            if script == IN_FORCE:
                said = masters.settings[self.name] if self.name in masters.running else ""
            elif script == SETTINGS:
                said = masters.settings[self.name]
            elif script == PART:
                state = "FAULT" if self.name in masters.deaf else "MASTER" if masters.holder == self.name else "BACKUP"
                said = f"{state}\n" + (f"inet {args[0]}/32\n" if masters.holder == self.name else "")
            elif script.startswith("systemctl stop"):
                masters.stop(self.name)
            elif script.startswith("systemctl start"):
                masters.start(self.name)
            elif label.startswith("step "):
                status = masters.step(self.name, label, script)
            else:
                assert script == RECORD, script
        return Result(label, status, said, "ill" if status else "", 0.1, self.name, False)


class Watched:
    """Who watches, and what was planned."""

    def __init__(self) -> None:
        self.planned: list[Change] = []

    @contextmanager
    def __call__(self, planned: Change) -> Iterator[None]:
        self.planned.append(planned)
        yield


def run(old: Topology, new: Topology, masters: Masters, *, due: Sequence[str] = STEPS) -> Watched:
    """Give the masters, which have been through the old steps, the new ones; of those only ``due`` are told apart."""
    recorded, watched = scripts(old), Watched()
    seen = {
        node.name: {
            "steps": {
                step: script.digest
                for (name, step), script in recorded.items()
                if name == node.name and name in masters.settings and step in (*due, "node")
            },
            "units": {
                "haproxy": "failed" if node.name in masters.unserved else "active",
                "keepalived": "active" if node.name in masters.running else "inactive",
            },
            "addresses": [str(new.vip)] if masters.holder == node.name else [],
        }
        for node in new.load_balancers
    }
    machines = {name: masters.machine(name) for name in seen}
    balance(new, Work(machines, scripts(new), Timeline(Deaf()), seen), watched)  # type: ignore[arg-type]
    return watched


@pytest.fixture
def masters() -> Masters:
    """Three masters in use."""
    found = Masters(made())
    found.begin("master1", "master2", "master3")
    return found


def test_settings_that_mix_go_from_the_lowest_upwards_and_the_vip_moves_twice(masters: Masters) -> None:
    watched = run(made(), made(advert_interval=0.5), masters)
    assert masters.told == [
        *("master3 leaves", "master3 keepalived"),
        *("master2 leaves", "master2 keepalived"),
        *("master1 leaves", "master1 keepalived"),
    ]
    assert {router.interval for router in masters.running.values()} == {0.5}
    assert (masters.holder, masters.takes) == ("master1", 2)
    assert [planned.moves for planned in watched.planned] == [2]


def test_settings_that_do_not_mix_never_run_beside_each_other(masters: Masters) -> None:
    watched = run(made(), made(vrrp_version=2, advert_interval=1), masters)
    assert sorted(masters.told[:2]) == ["master2 leaves", "master3 leaves"]
    assert masters.told[2:4] == ["master1 keepalived", "master1 leaves"]
    assert sorted(masters.told[4:]) == ["master2 keepalived", "master3 keepalived"]
    assert {router.version for router in masters.running.values()} == {2}
    assert (masters.holder, masters.takes) == ("master1", 1)
    assert not watched.planned[0].rolling


def test_a_haproxy_that_alone_changes_leaves_every_master_in_the_election(masters: Masters) -> None:
    run(made(), made(), masters, due=("keepalived",))
    assert masters.told == ["master3 haproxy", "master2 haproxy", "master1 haproxy"]
    assert masters.takes == 0


def test_in_a_first_up_nobody_waits_for_anybody() -> None:
    fresh = Masters(made())
    watched = run(made(), made(), fresh)
    assert sorted(fresh.told) == sorted(
        f"{name} {step}" for name in ("master1", "master2", "master3") for step in STEPS
    )
    assert watched.planned == []


def test_where_nothing_is_due_nothing_is_asked_or_watched(masters: Masters) -> None:
    watched = run(made(), made(), masters)
    assert (masters.told, watched.planned) == ([], [])


@pytest.mark.parametrize(
    "stopped", [("master3",), ("master2", "master3"), ("master1", "master2", "master3")], ids=lambda one: str(len(one))
)
def test_masters_that_a_killed_change_left_stopped_come_back_with_the_settings_that_they_had(
    stopped: tuple[str, ...], masters: Masters
) -> None:
    """They had left for other settings and had not begun with them: the record of their steps is still this lab's."""
    for name in stopped:
        masters.stop(name)
    masters.told.clear()
    run(made(), made(), masters)
    assert sorted(masters.told) == [f"{name} keepalived" for name in stopped]
    assert (set(masters.running), masters.holder) == ({"master1", "master2", "master3"}, "master1")


def test_a_haproxy_that_does_not_run_is_started_and_no_master_leaves_for_that(masters: Masters) -> None:
    masters.unserved.add("master3")
    run(made(), made(), masters)
    assert (masters.told, masters.unserved, masters.takes) == (["master3 haproxy"], set(), 0)


def test_a_step_that_fails_leaves_its_master_in_the_election_and_the_others_alone(masters: Masters) -> None:
    masters.ill.add(("master3", "keepalived"))
    with pytest.raises(CommandError, match="step keepalived"):
        run(made(), made(advert_interval=0.5), masters)
    assert masters.told == ["master3 leaves", "master3 keepalived"]
    assert masters.running.keys() == {"master1", "master2", "master3"}
    assert (masters.holder, masters.takes) == ("master1", 0)


def test_a_holder_whose_step_fails_gets_the_others_back(masters: Masters) -> None:
    masters.ill.add(("master1", "keepalived"))
    with pytest.raises(CommandError, match="step keepalived"):
        run(made(), made(vrrp_version=2, advert_interval=1), masters)
    assert masters.running.keys() == {"master1", "master2", "master3"}
    assert {router.version for router in masters.running.values()} == {3}
    assert masters.holder == "master1"


def test_nobody_comes_back_to_a_holder_that_would_not_be_understood(
    masters: Masters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balancing, "SETTLE_SECONDS", 0.3)
    masters.deaf.add("master1")
    with pytest.raises(WaitTimeout, match="master1 in the election again"):
        run(made(), made(vrrp_version=2, advert_interval=1), masters)
    assert masters.running.keys() == {"master1"}


def test_a_master_that_does_not_come_back_ends_the_change_before_the_next(
    masters: Masters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balancing, "SETTLE_SECONDS", 0.3)
    masters.deaf.add("master3")
    with pytest.raises(WaitTimeout, match="master3 in the election again and master1 with the virtual IP") as caught:
        run(made(), made(advert_interval=0.5), masters)
    assert "./inv ssh master3 journalctl -u keepalived" in caught.value.hint
    assert masters.told == ["master3 leaves", "master3 keepalived"]


@pytest.mark.parametrize(
    ("journal", "held", "said"),
    [
        ("(kubernetes) Entering BACKUP STATE (init)", "", "BACKUP\n"),
        ("(kubernetes) Entering BACKUP STATE (init)\n(kubernetes) Entering MASTER STATE", "", "MASTER\n"),
        ("Starting VRRP child process", "", "\n"),
        ("", "2: eth0 inet 10.21.0.100/32", "\n2: eth0 inet 10.21.0.100/32\n"),
    ],
)
def test_a_masters_part_is_read_from_what_its_keepalived_told(journal: str, held: str, said: str) -> None:
    """The script itself, run by the real bash; the machine's own tools are played."""
    tools = f"""
systemctl() {{ echo 0123abcd; }}
journalctl() {{ [[ $* == *_SYSTEMD_INVOCATION_ID=0123abcd* ]] && printf '%s\\n' {shlex.quote(journal)}; }}
ip() {{ [ "$*" = "-o addr show to 10.21.0.100/32" ] && printf '%s' {shlex.quote(held and held + chr(10))}; }}
"""
    argv = ["bash", "-s", "--", "10.21.0.100"]
    done = subprocess.run(argv, input=f"{tools}{PART}", capture_output=True, text=True, check=True, timeout=10)
    assert done.stdout == said
