"""Machines, networks and disks on a real libvirt."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypervisor import NODES, SUBNET, lab, left_of, silent, volume

from lab.command import Note
from lab.errors import LabError
from lab.plan.virtual import Virtual
from lab.providers.base import MachineState
from lab.providers.libvirt import connection as virt
from lab.providers.libvirt import domains, leftovers, networks, snapshots


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
    domain.managedSave()
    assert domains.state(domain) is MachineState.SAVED
    domains.start(domain)
    assert domains.state(domain) is MachineState.RUNNING, "and so does what is saved"
    domains.stop(domain)
    assert domains.state(domain) is MachineState.STOPPED


def test_a_machine_that_does_not_shut_down_is_named(host: Any, virtual: Virtual) -> None:
    class Deaf:
        def name(self) -> str:
            return "ha-m1"

        def state(self) -> tuple[int, int]:
            return virt.RUNNING, 0

        def shutdown(self) -> None: ...

    with pytest.raises(LabError, match=r"waited \d+ s for ha-m1 to shut down; last seen: running") as caught:
        domains.stop(Deaf(), deadline=0.2)
    assert "power off" in caught.value.hint


def test_the_button_is_pushed_again_for_a_guest_that_was_still_booting(monkeypatch: pytest.MonkeyPatch) -> None:
    class Booting:
        pushes = 0

        def name(self) -> str:
            return "ha-m1"

        def state(self) -> tuple[int, int]:
            return (virt.SHUTOFF if self.pushes == 2 else virt.RUNNING), 0

        def hasManagedSaveImage(self) -> bool:
            return False

        def shutdown(self) -> None:
            self.pushes += 1

    monkeypatch.setattr(domains, "BUTTON_SECONDS", 0.15)
    guest = Booting()
    domains.stop(guest, deadline=5.0)
    assert guest.pushes == 2


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
    system = Virtual(virtual.identity, "system", "kvm", "qemu:///system", virtual.management, virtual.numbers)
    assert "<forward" not in networks.management_xml(virtual, NODES)
    assert "<forward mode='nat'/>" in networks.management_xml(system, NODES)
    assert "<forward" not in networks.private_xml(system, SUBNET)


def test_all_of_a_lab_is_found_and_removed_and_nothing_else(host: Any, virtual: Virtual) -> None:
    prefix = virtual.identity.prefix
    machines = lab(host, virtual)
    snapshots.save(machines, "before", silent)
    volume(host, f"{prefix}-forgotten.img")
    volume(host, "someone-elses.img")
    found = left_of(host, prefix)
    assert len([line for line in found if line.startswith("machine")]) == 2
    assert len([line for line in found if line.startswith("volume")]) == 3
    assert len([line for line in found if line.startswith("network")]) == 2
    removed = leftovers.purge(host, prefix)
    assert len(removed) == 7
    assert left_of(host, prefix) == []
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
