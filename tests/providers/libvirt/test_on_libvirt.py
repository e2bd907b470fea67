"""Machines, networks, disks and snapshots on libvirt's own test driver: the real library, no machine behind it."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from lab.command import Note
from lab.errors import LabError, UsageError
from lab.identity import Identity
from lab.plan.virtual import Virtual, management_subnet
from lab.providers.base import Kept, MachineState
from lab.providers.libvirt import connection as virt
from lab.providers.libvirt import daemon, domains, leftovers, networks, snapshots, volumes
from lab.providers.libvirt.daemon import RemoteDaemon, SystemDaemon
from lab.providers.libvirt.leftovers import Notes
from lab.providers.libvirt.private import PrivateDaemon
from lab.providers.libvirt.provider import LibvirtProvider

SUBNET = IPv4Network("10.21.0.0/24")
NODES = ("m1", "m2")

HOST = """<node><cpu><mhz>1000</mhz><model>x</model><active>2</active><nodes>1</nodes><sockets>1</sockets>
<cores>2</cores><threads>1</threads></cpu><memory>8000000</memory>
<pool type='dir'><name>default</name><target><path>/images</path></target></pool>
<network><name>someone-elses</name><bridge name='virbr9'/><ip address='192.168.77.1' netmask='255.255.255.0'/></network>
<domain type='test'><name>someone-elses</name><memory>1024</memory><os><type>hvm</type></os></domain>
</node>"""

CARDS = "<interface type='network'><source network='{0}'/></interface>"


def silent(_line: str) -> None:
    """A sink for words that the test does not look at."""


@pytest.fixture
def virtual(tmp_path: Path) -> Virtual:
    """A lab's side of the hypervisor."""
    identity = Identity("ha", tmp_path)
    return Virtual(identity, "private", "qemu", "qemu:///system", management_subnet(identity, [SUBNET]))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Any]:
    """A hypervisor on which somebody else has a machine and a network."""
    (tmp_path / "host.xml").write_text(HOST)
    with virt.connect(f"test://{tmp_path}/host.xml") as connection:
        yield connection


def machine(host: Any, virtual: Virtual, node: str, cards: int = 2, *, disk: bool = True) -> Any:
    """A machine as vagrant-libvirt makes it, off."""
    interfaces = CARDS.format(virtual.network) * cards
    domain = host.defineXML(
        f"<domain type='test'><name>{virtual.identity.machine(node)}</name><memory>1024</memory>"
        f"<os><type>hvm</type></os><devices>{interfaces}</devices></domain>"
    )
    if disk:
        volume(host, virtual.volume(node))
    return domain


def volume(host: Any, name: str) -> Any:
    pool = host.storagePoolLookupByName("default")
    return pool.createXML(f"<volume><name>{name}</name><capacity>1048576</capacity></volume>")


def lab(host: Any, virtual: Virtual) -> dict[str, Any]:
    """The whole lab, running."""
    networks.ensure(host, virtual, SUBNET, NODES, silent)
    machines = {node: machine(host, virtual, node) for node in NODES}
    for domain in machines.values():
        domains.start(domain)
    return machines


def test_power_and_pause(host: Any, virtual: Virtual) -> None:
    domain = lab(host, virtual)["m1"]
    assert domains.state(domain) is MachineState.RUNNING
    domains.pause(domain)
    domains.pause(domain)
    assert domains.state(domain) is MachineState.PAUSED
    domains.unpause(domain)
    domains.unpause(domain)
    assert domains.state(domain) is MachineState.RUNNING
    domains.cut(domain)
    domains.cut(domain)
    assert domains.state(domain) is MachineState.STOPPED
    domains.start(domain)
    domains.pause(domain)
    domains.start(domain)
    assert domains.state(domain) is MachineState.RUNNING, "what is paused goes on"
    domains.stop(domain)
    assert domains.state(domain) is MachineState.STOPPED


def test_a_machine_that_does_not_shut_down_is_named(host: Any, virtual: Virtual) -> None:
    class Deaf:
        def name(self) -> str:
            return "ha-m1"

        def state(self) -> tuple[int, int]:
            return virt.RUNNING, 0

        def shutdown(self) -> None: ...

    with pytest.raises(LabError, match="ha-m1 did not shut down") as caught:
        domains.stop(Deaf(), deadline=0.2)
    assert "power off" in caught.value.hint


def test_states_are_the_labs_only(host: Any, virtual: Virtual) -> None:
    lab(host, virtual)
    found = domains.states(host, virtual.identity.prefix)
    assert found == {virtual.identity.machine(node): MachineState.RUNNING for node in NODES}


def test_a_missing_machine_is_named(host: Any) -> None:
    with pytest.raises(LabError, match="no machine ha-m9"):
        domains.lookup(host, "ha-m9")


def test_networks_are_made_once_and_started_again(host: Any, virtual: Virtual) -> None:
    said: list[str] = []
    networks.ensure(host, virtual, SUBNET, NODES, said.append)
    assert len(said) == 2
    networks.ensure(host, virtual, SUBNET, NODES, said.append)
    assert len(said) == 2, "nothing to do, nothing said"
    host.networkLookupByName(virtual.network).destroy()
    networks.ensure(host, virtual, SUBNET, NODES, said.append)
    assert host.networkLookupByName(virtual.network).isActive()
    assert len(said) == 3


def test_a_network_whose_definition_changed_is_made_anew(host: Any, virtual: Virtual) -> None:
    networks.ensure(host, virtual, SUBNET, NODES, silent)
    said: list[str] = []
    networks.ensure(host, virtual, IPv4Network("10.99.0.0/24"), (*NODES, "m3"), said.append)
    assert sum("made anew" in line for line in said if isinstance(line, Note)) == 2
    assert networks.ranges(host.networkLookupByName(virtual.network).XMLDesc()) == [IPv4Network("10.99.0.0/24")]


def test_a_range_that_another_network_has_is_refused(host: Any, virtual: Virtual) -> None:
    with pytest.raises(LabError, match=r"someone-elses.*192\.168\.77\.0/24"):
        networks.ensure(host, virtual, IPv4Network("192.168.76.0/22"), NODES, silent)
    assert [network.name() for network in host.listAllNetworks()] == ["someone-elses"]


def test_a_private_lab_has_no_way_out_and_a_systems_has(virtual: Virtual, tmp_path: Path) -> None:
    system = Virtual(virtual.identity, "system", "kvm", "qemu:///system", virtual.management)
    assert "<forward" not in networks.management_xml(virtual, NODES)
    assert "<forward mode='nat'/>" in networks.management_xml(system, NODES)
    assert "<forward" not in networks.private_xml(system, SUBNET)


def test_all_of_a_lab_is_found_and_removed_and_nothing_else(host: Any, virtual: Virtual) -> None:
    prefix = virtual.identity.prefix
    machines = lab(host, virtual)
    snapshots.save(machines, "before", silent)
    volume(host, f"{prefix}-forgotten.img")
    volume(host, "someone-elses.img")
    found = leftovers.find(host, prefix)
    assert len([line for line in found if line.startswith("machine")]) == 2
    assert len([line for line in found if line.startswith("volume")]) == 3
    assert len([line for line in found if line.startswith("network")]) == 2
    removed = leftovers.purge(host, prefix)
    assert len(removed) == 7
    assert leftovers.find(host, prefix) == []
    assert leftovers.purge(host, prefix) == [], "nothing there is no error"
    assert [domain.name() for domain in host.listAllDomains()] == ["someone-elses"]
    assert [network.name() for network in host.listAllNetworks()] == ["someone-elses"]
    assert [item.name() for item in host.storagePoolLookupByName("default").listAllVolumes()] == ["someone-elses.img"]


def test_disks_in_a_stopped_pool_are_removed_and_the_pool_stays_stopped(host: Any, virtual: Virtual) -> None:
    lab(host, virtual)
    pool = host.storagePoolLookupByName("default")
    pool.destroy()
    removed = leftovers.purge(host, virtual.identity.prefix)
    assert len([line for line in removed if line.startswith("volume")]) == len(NODES)
    assert not pool.isActive()
    leftovers.purge(host, "nobodys-000000")
    assert not pool.isActive()
    pool.create()
    assert pool.listAllVolumes() == []


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


def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path / ".vagrant")


def mend(host: Any, virtual: Virtual, tmp_path: Path) -> list[str]:
    said: list[str] = []
    leftovers.mend(host, virtual, NODES, notes(tmp_path), said.append)
    assert all(isinstance(line, Note) for line in said), "what was mended is shown for good"
    return said


def test_a_healthy_lab_is_left_alone(host: Any, virtual: Virtual, tmp_path: Path) -> None:
    for node, domain in lab(host, virtual).items():
        notes(tmp_path).write(node, domain.UUIDString())
    assert mend(host, virtual, tmp_path) == []
    assert len(domains.states(host, virtual.identity.prefix)) == 2


def test_vagrants_folder_removed_by_hand(host: Any, virtual: Virtual, tmp_path: Path) -> None:
    machines = lab(host, virtual)
    said = mend(host, virtual, tmp_path)
    assert len(said) == 2
    assert "does not know" in said[0]
    assert {node: notes(tmp_path).read(node) for node in NODES} == {
        node: domain.UUIDString() for node, domain in machines.items()
    }
    assert domains.state(machines["m1"]) is MachineState.RUNNING, "nobody was disturbed"


def test_up_killed_between_defined_and_started(host: Any, virtual: Virtual, tmp_path: Path) -> None:
    half = machine(host, virtual, "m1", cards=1)
    notes(tmp_path).write("m1", half.UUIDString())
    said = mend(host, virtual, tmp_path)
    assert said == ["m1: a half-made machine (an interrupted up left it): remove what there is"]
    assert leftovers.find(host, virtual.identity.prefix) == []
    assert notes(tmp_path).read("m1") == ""


def test_a_disk_left_behind(host: Any, virtual: Virtual, tmp_path: Path) -> None:
    volume(host, virtual.volume("m2"))
    said = mend(host, virtual, tmp_path)
    assert said == ["m2: a disk without a machine (an interrupted up left it): remove what there is"]
    assert volumes.mine(host, virtual.identity.prefix) == []


def test_a_machine_without_its_disk(host: Any, virtual: Virtual, tmp_path: Path) -> None:
    machine(host, virtual, "m1", disk=False)
    assert "half-made" in mend(host, virtual, tmp_path)[0]
    assert domains.states(host, virtual.identity.prefix) == {}


def test_a_note_of_a_machine_that_is_gone(host: Any, virtual: Virtual, tmp_path: Path) -> None:
    notes(tmp_path).write("m1", "0a7b9b52-0d1c-4ae5-8c5c-5b5e1ad0a7f1")
    assert "gone" in mend(host, virtual, tmp_path)[0]
    assert notes(tmp_path).read("m1") == ""


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "libvirt", None)
    with pytest.raises(LabError, match="libvirt-python is not installed"):
        virt.library()


def test_a_daemon_that_does_not_answer_is_named(tmp_path: Path) -> None:
    uri = f"qemu+unix:///system?socket={tmp_path}/sock"
    with pytest.raises(LabError, match="does not answer"), virt.connect(uri):
        pass


def test_a_remote_daemon_that_does_not_answer_is_not_taken_for_an_empty_one(virtual: Virtual, tmp_path: Path) -> None:
    uri = f"qemu+unix:///system?socket={tmp_path}/sock"
    provider = LibvirtProvider(virtual, RemoteDaemon(uri), SUBNET, NODES)
    notes(virtual.identity.state).write("m1", "0a7b9b52-0d1c-4ae5-8c5c-5b5e1ad0a7f1")
    with pytest.raises(LabError, match="does not answer") as caught:
        provider.remove_all(silent)
    assert uri in caught.value.message
    assert caught.value.hint == "start it (systemctl start libvirtd on its host), then again: ./inv destroy --lab ha"
    assert notes(virtual.identity.state).read("m1"), "what tells of it stays"


def test_a_system_daemon_that_does_not_answer_is_not_taken_for_an_empty_one(
    virtual: Virtual, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "listening", lambda: False)
    provider = LibvirtProvider(virtual, SystemDaemon(), SUBNET, NODES)
    with pytest.raises(LabError, match="libvirt at qemu:///system does not answer") as caught:
        provider.remove_all(silent)
    assert caught.value.hint == "start it (systemctl start libvirtd), then again: ./inv destroy --lab ha"


def test_a_private_daemon_that_does_not_answer_goes_with_all_it_runs(
    virtual: Virtual, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    private = PrivateDaemon.of(virtual.identity, IPv4Interface("192.0.2.1/24"))
    private.images().mkdir(parents=True)
    monkeypatch.setattr(PrivateDaemon, "running", lambda self: True)
    said: list[str] = []
    removed = LibvirtProvider(virtual, private, SUBNET, NODES).remove_all(said.append)
    assert removed == [f"folder {private.folder}"]
    assert said[0].endswith("; ending it with all it runs")
