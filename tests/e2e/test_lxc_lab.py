"""A real lab in containers, as a person uses it: what ``up`` made, what commands do with it, what ``destroy`` leaves.

All tests of this folder that take ``lab`` share one (see conftest.py); each leaves it healthy.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
import re
from pathlib import Path

import pytest
from hosts import belonging, differences, left_of, snapshot
from judging import NODES, TOPOLOGY, Shared, all_well
from running import names

pytestmark = pytest.mark.live

#: What tells that a machine was left alone: when its services, pods and configuration were last touched.
TOUCHED = """
systemctl show -P ExecMainStartTimestampMonotonic haproxy keepalived containerd kubelet
stat -c '%n %Y' /etc/haproxy/haproxy.cfg /etc/keepalived/keepalived.conf /etc/containerd/config.toml \
  /etc/kubernetes/*.conf /etc/kubernetes/manifests/* 2> /dev/null
ctr -n k8s.io tasks list -q | sort
"""


class TestUp:
    """A lab was made."""

    def test_four_nodes_are_ready_and_the_virtual_ip_answers(self, lab: Shared, tmp_path: Path) -> None:
        all_well(lab, tmp_path)

    def test_it_says_where_the_time_went(self, lab: Shared) -> None:
        first, *_ = lab.inv.runs("up")  # other tests' come later
        stored = json.loads((first / "phases.json").read_text())
        assert all(phase["ok"] for phase in stored["phases"])
        for name in ("init", "join", "healthy"):
            assert any(phase["name"] == name for phase in stored["phases"]), f"no phase {name}"
            assert re.search(rf"\b{name}\b", lab.up.out), f"phase {name} was not shown"
        assert stored["total"] == pytest.approx(lab.up.seconds, abs=10)
        assert f"{TOPOLOGY.endpoint} answers" in lab.up.out

    def test_it_says_nothing_on_standard_error(self, lab: Shared) -> None:
        assert [line for line in lab.up.err.splitlines() if not line.startswith("inv:")] == []

    def test_the_status_for_programs_is_complete(self, lab: Shared) -> None:
        status = lab.inv.status()
        assert status["verdict"] == "healthy"
        assert status["problems"] == []
        assert status["provider"] == "lxc"
        assert status["endpoint"] == TOPOLOGY.endpoint
        assert status["vip"] == str(TOPOLOGY.vip)
        wanted = [
            {"name": node.name, "role": node.role, "address": str(node.address), "state": "running"}
            for node in TOPOLOGY.nodes
        ]
        assert status["machines"] == wanted
        masters = sorted(node.name for node in TOPOLOGY.control_planes)
        assert status["holders"] == [TOPOLOGY.ranked[0].name], "the best master holds the virtual IP"
        assert sorted(status["loadbalancers"]) == masters
        for balancer in status["loadbalancers"].values():
            assert (balancer["haproxy"], balancer["keepalived"]) == ("active", "active")
            assert balancer["backends"] == dict.fromkeys(masters, "UP")
        for node in status["nodes"]:
            assert ipaddress.ip_address(node["address"]) in TOPOLOGY.subnet
            assert node["version"] == TOPOLOGY.definition.kubernetes.version
            assert node["ready"] is True
        assert status["leases"].keys() == {"kube-scheduler", "kube-controller-manager"}
        assert set(status["leases"].values()) <= set(masters)
        assert names(status, "etcd") == masters
        assert sum(member["leads"] for member in status["etcd"]) == 1

    def test_status_in_words_is_good(self, lab: Shared) -> None:
        done = lab.inv("status")
        assert "healthy" in done.out
        assert done.seconds < 20

    def test_no_address_of_the_lab_is_on_the_host(self, lab: Shared) -> None:
        new = differences(lab.before, snapshot(), [lab.inv.identity.prefix])
        assert [line for line in new if line.startswith(("links", "addresses", "routes", "/proc/sys"))] == []

    def test_every_process_lies_in_control_groups_of_its_machine(self, lab: Shared) -> None:
        prefix = lab.inv.identity.prefix
        inside = Path("/proc").glob("[0-9]*/cgroup")
        found: dict[str, set[str]] = {node: set() for node in NODES}
        for file in inside:
            with contextlib.suppress(OSError):  # the process has ended
                for line in file.read_text().splitlines():
                    if machine := re.search(rf"lxc\.payload\.{prefix}-([a-z0-9-]+)", line):
                        found[machine[1]].add(line.split(":")[1])
        assert all(controllers for controllers in found.values()), found

    def test_again_it_changes_nothing(self, lab: Shared) -> None:
        before = {node: lab.inv.on(node, TOUCHED) for node in NODES}
        files = {file: file.stat().st_mtime_ns for file in (lab.inv.state / "nodes").rglob("*") if file.is_file()}
        runs = lab.inv.runs("up")
        done = lab.inv.up()
        assert "nothing had to change" in done.out
        assert {node: lab.inv.on(node, TOUCHED) for node in NODES} == before
        assert {file: file.stat().st_mtime_ns for file in files} == files
        assert done.seconds < 30, "a healthy lab is looked at, not worked on"
        assert len(lab.inv.runs("up")) == len(runs) + 1


class TestHandedOn:
    """ssh, kubectl and enter are the other program's own, options and exit status included."""

    def test_a_commands_exit_status_is_its_own(self, lab: Shared) -> None:
        lab.inv("ssh", "master2", "exit 7", status=7)
        lab.inv("enter", "sh", "-c", "exit 9", status=9)
        assert lab.inv("kubectl", "get", "node", "nobody", status=1).err.startswith("Error from server (NotFound)")

    def test_options_arrive_as_they_were_typed(self, lab: Shared) -> None:
        assert lab.inv.on("worker1", "printf '%s|' --json -h 'two  words' --lab x") == "--json|-h|two  words|--lab|x|"
        words = ["enter", "printf", "%s|", "--lab", "x", "-h", "", "two  words", "--json"]
        assert lab.inv(*words).out == "--lab|x|-h||two  words|--json|"
        wide = lab.inv("kubectl", "get", "nodes", "-o", "wide", "--no-headers", "-l", "kubernetes.io/hostname=worker1")
        assert len(wide.out.splitlines()) == 1
        assert str(TOPOLOGY.node("worker1").address) in wide.out

    def test_each_machine_is_the_one_that_was_asked_for(self, lab: Shared) -> None:
        assert {node: lab.inv.on(node, "hostname").strip() for node in NODES} == {node: node for node in NODES}
        assert lab.inv.on("master1", "id -u").strip() == "0"

    def test_standard_input_comes_through(self, lab: Shared) -> None:
        text = "line one\nline two without an end"
        digest = hashlib.sha256(text.encode()).hexdigest()
        assert lab.inv.on("master3", "sha256sum", stdin=text).split()[0] == digest
        assert lab.inv("enter", "sha256sum", stdin=text).out.split()[0] == digest

    def test_a_machine_that_does_not_exist_is_wrong_usage(self, lab: Shared) -> None:
        assert "master1" in lab.inv("ssh", "master9", "true", status=64).err

    def test_inside_there_is_the_labs_network_and_no_other(self, lab: Shared) -> None:
        shown = json.loads(lab.inv("enter", "ip", "-json", "-4", "addr").out)
        found = {info["local"] for link in shown for info in link["addr_info"]}
        assert str(TOPOLOGY.gateway) in found
        host = {line.split()[1].partition("/")[0] for line in lab.before.facts["addresses"]}
        assert not found & (host - {"127.0.0.1"})


class TestDestroy:
    """What a lab made goes away with it."""

    def test_destroy_ends_everything(self, spent_lab: Shared) -> None:
        inv = spent_lab.inv
        running = belonging(inv.identity.prefix, inv.state, inv.mark)
        assert len(running) > 50, "a lab that runs has processes"
        done = inv("destroy")
        assert "removed" in done.out
        assert [process for process in running if process.lives] == []
        assert left_of(inv.identity.prefix, inv.state) == []
        assert belonging(inv.identity.prefix, inv.state, inv.mark) == set()
        assert done.seconds < 60, f"destroy took {done.seconds:.1f} s"

    def test_the_host_is_as_it_was_before(self, spent_lab: Shared) -> None:
        assert differences(spent_lab.before, snapshot(), [spent_lab.inv.identity.prefix]) == []

    def test_runs_and_rendered_files_are_kept(self, spent_lab: Shared) -> None:
        inv = spent_lab.inv
        assert inv.runs("verify")
        assert (inv.state / "Vagrantfile").is_file()
        for name in ("kubeconfig", "ssh_config", ".vagrant", "vagrant"):
            assert not (inv.state / name).exists()

    def test_again_is_no_error_and_nothing_else_works(self, spent_lab: Shared) -> None:
        assert "nothing to remove" in spent_lab.inv("destroy").out
        assert "there is no lab" in spent_lab.inv("status", status=1).err
        assert "there is no lab" in spent_lab.inv("verify", status=1).err

    def test_all_of_it(self, spent_lab: Shared) -> None:
        spent_lab.inv("destroy", "--all")
        assert not spent_lab.inv.state.exists()
        spent_lab.inv("destroy", "--all")
        assert not spent_lab.inv.state.exists()
