"""Snapshots on a real libvirt: of all machines at once, and of one."""

from __future__ import annotations

from typing import Any

import pytest
from hypervisor import NODES, lab, silent

from lab.errors import LabError, UsageError
from lab.plan.virtual import Virtual
from lab.providers.base import Kept, MachineState
from lab.providers.libvirt import domains, snapshots


def test_a_snapshot_is_of_all_machines_at_once(host: Any, virtual: Virtual) -> None:
    machines = lab(host, virtual)
    snapshots.save(machines, "one", silent)
    for domain in machines.values():
        assert domains.state(domain) is MachineState.RUNNING, "they go on"
        description = domain.snapshotLookupByName("one").getXMLDesc()
        assert "<state>paused</state>" in description, "taken while all stood still"
    assert snapshots.names(machines) == ["one"]


def test_a_snapshot_of_the_same_name_replaces_the_old_one(host: Any, virtual: Virtual) -> None:
    machines = lab(host, virtual)
    snapshots.save(machines, "one", silent)
    snapshots.save(machines, "one", silent)
    assert [len(domain.listAllSnapshots()) for domain in machines.values()] == [1, 1]


def test_restored_machines_run_even_if_they_were_off(host: Any, virtual: Virtual) -> None:
    machines = lab(host, virtual)
    snapshots.save(machines, "one", silent)
    domains.cut(machines["m1"])
    domains.pause(machines["m2"])
    snapshots.restore(machines, "one", silent)
    assert [domains.state(domain) for domain in machines.values()] == [MachineState.RUNNING] * 2


def test_an_interrupted_snapshot_is_none(host: Any, virtual: Virtual) -> None:
    machines = lab(host, virtual)
    snapshots.save({"m1": machines["m1"]}, "half", silent)
    assert snapshots.names(machines) == []
    assert snapshots.kept(machines) == [Kept("half", ("m1",), whole=False)]
    with pytest.raises(UsageError, match="not every machine has it; missing on: m2"):
        snapshots.restore(machines, "half", silent)
    snapshots.save(machines, "half", silent)
    assert snapshots.names(machines) == ["half"], "taken anew, it is whole"


def test_machines_go_on_after_a_snapshot_that_failed(host: Any, virtual: Virtual) -> None:
    machines = lab(host, virtual)

    def full(_line: str) -> None:
        raise LabError("the disk is full")

    with pytest.raises(LabError, match=r"no snapshot was kept of m1 \(the disk is full\), m2"):
        snapshots.save(machines, "one", full)
    assert [domains.state(domain) for domain in machines.values()] == [MachineState.RUNNING] * 2


class Stubborn:
    """A machine that cannot do one thing; all else is the real one's."""

    def __init__(self, domain: Any, *, cannot: str) -> None:
        self.domain, self.cannot = domain, cannot

    def __getattr__(self, name: str) -> Any:
        if name == self.cannot:
            raise LabError(f"cannot {name}")
        return getattr(self.domain, name)


def test_one_that_cannot_go_on_keeps_no_other_from_it(host: Any, virtual: Virtual) -> None:
    machines = lab(host, virtual)
    stuck = {"m1": Stubborn(machines["m1"], cannot="resume"), "m2": machines["m2"]}
    with pytest.raises(LabError, match=r"^still paused: m1 \(cannot resume\)") as caught:
        snapshots.save(stuck, "one", silent)
    assert "./inv resume" in caught.value.hint
    assert domains.state(machines["m2"]) is MachineState.RUNNING

    def full(_line: str) -> None:
        raise LabError("the disk is full")

    domains.unpause(machines["m1"])
    with pytest.raises(LabError, match=r"the disk is full[^$]*still paused: m1"):
        snapshots.save(stuck, "one", full)


def test_a_restore_that_failed_says_who_stands_still_and_what_to_do(host: Any, virtual: Virtual) -> None:
    machines = lab(host, virtual)
    snapshots.save(machines, "one", silent)
    failing = {"m1": machines["m1"], "m2": Stubborn(machines["m2"], cannot="revertToSnapshot")}
    with pytest.raises(
        LabError, match=r"not restored: m2 \(cannot revert.*\); restored, and paused .*: m1\n"
    ) as caught:
        snapshots.restore(failing, "one", silent)
    assert caught.value.hint == "run restore one again"
    assert domains.state(machines["m1"]) is MachineState.PAUSED, "it fits none of those that were not put back"
    snapshots.restore(machines, "one", silent)
    assert [domains.state(domain) for domain in machines.values()] == [MachineState.RUNNING] * 2


def test_one_machine_alone_is_kept_and_put_back(host: Any, virtual: Virtual) -> None:
    machines = lab(host, virtual)
    snapshots.save(machines, "mine", silent, "m1")
    assert machines["m2"].listAllSnapshots() == []
    domains.cut(machines["m1"])
    domains.pause(machines["m2"])
    snapshots.restore(machines, "mine", silent, "m1")
    assert domains.state(machines["m1"]) is MachineState.RUNNING
    assert domains.state(machines["m2"]) is MachineState.PAUSED, "nobody touched it"


def test_one_machine_can_be_kept_while_another_is_off(host: Any, virtual: Virtual) -> None:
    machines = lab(host, virtual)
    domains.cut(machines["m2"])
    snapshots.save(machines, "mine", silent, "m1")
    with pytest.raises(LabError, match="m2 is stopped"):
        snapshots.save(machines, "mine", silent, "m2")


def test_one_machine_goes_back_to_a_moment_of_the_whole_lab(host: Any, virtual: Virtual) -> None:
    machines = lab(host, virtual)
    snapshots.save(machines, "one", silent)
    said: list[str] = []
    snapshots.restore(machines, "one", said.append, "m2")
    assert said == ["m2: restored"]


def test_what_one_machine_does_not_have_is_refused_with_what_it_has(host: Any, virtual: Virtual) -> None:
    machines = lab(host, virtual)
    snapshots.save(machines, "mine", silent, "m1")
    with pytest.raises(UsageError, match="m2 has no snapshot 'mine'") as caught:
        snapshots.restore(machines, "mine", silent, "m2")
    assert caught.value.hint == "there are: none"


def test_a_snapshot_of_the_whole_lab_is_not_broken_by_one_of_a_machine(host: Any, virtual: Virtual) -> None:
    machines = lab(host, virtual)
    snapshots.save(machines, "one", silent)
    with pytest.raises(UsageError, match="'one' is a snapshot of the whole lab"):
        snapshots.save(machines, "one", silent, "m1")
    assert snapshots.names(machines) == ["one"]


def test_machines_kept_one_by_one_make_no_moment_of_the_whole_lab(host: Any, virtual: Virtual) -> None:
    machines = lab(host, virtual)
    for node in NODES:
        snapshots.save(machines, "one", silent, node)
    assert sorted(one.nodes for one in snapshots.kept(machines)) == [("m1",), ("m2",)]
    with pytest.raises(UsageError, match="kept at different moments") as caught:
        snapshots.restore(machines, "one", silent)
    assert "--node" in caught.value.hint
    snapshots.save(machines, "one", silent)
    assert snapshots.kept(machines) == [Kept("one", NODES, whole=True)], "taken of all, it replaces them"


def test_the_only_machine_is_the_whole_lab(host: Any, virtual: Virtual) -> None:
    alone = {"m1": lab(host, virtual)["m1"]}
    snapshots.save(alone, "one", silent)
    snapshots.save(alone, "one", silent, "m1")
    assert snapshots.names(alone) == ["one"]


def test_an_unknown_snapshot_is_refused_with_those_there_are(host: Any, virtual: Virtual) -> None:
    machines = lab(host, virtual)
    snapshots.save(machines, "one", silent)
    with pytest.raises(UsageError, match="no snapshot 'two'") as caught:
        snapshots.restore(machines, "two", silent)
    assert "there are: one" in caught.value.hint


@pytest.mark.parametrize("name", ["", "a b", "../x", "<x/>", "-x", "x" * 64])
def test_bad_names_of_snapshots_are_refused(name: str, host: Any, virtual: Virtual) -> None:
    with pytest.raises(UsageError, match="no name for a snapshot"):
        snapshots.save(lab(host, virtual), name, silent)


def test_a_lab_that_is_off_has_no_moment_to_keep(host: Any, virtual: Virtual) -> None:
    machines = lab(host, virtual)
    domains.cut(machines["m2"])
    with pytest.raises(LabError, match="m2 is stopped"):
        snapshots.save(machines, "one", silent)
