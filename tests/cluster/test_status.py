"""The status of a lab, folded from what its machines say: a healthy lab, and one change at a time."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from lab.cluster.status import Status, fold
from lab.definition import parse
from lab.interrupts import Open
from lab.kubernetes.leases import holder_host
from lab.providers.base import MachineState
from lab.stage import Stage
from lab.topology import Topology, derive

Seen = dict[str, Any]
States = dict[str, MachineState]

MASTERS = ("master1", "master2", "master3")
NODES = (*MASTERS, "worker1")
ADDRESSES = {name: f"10.21.0.{11 + index}" for index, name in enumerate(NODES)}


@pytest.fixture(scope="module")
def topology() -> Topology:
    return derive(
        parse(
            "nodes: [{name: master1, role: master}, {name: master2, role: master},"
            " {name: master3, role: master}, {name: worker1, role: worker}]"
        ),
        driver="",
    )


def healthy() -> tuple[States, Seen]:
    """What the machines of a healthy lab say (from a real one, shortened)."""
    states = dict.fromkeys(NODES, MachineState.RUNNING)
    seen: Seen = {
        name: {
            "hostname": name,
            "joined": True,
            "authority": "the cluster's",
            "node_uid": f"uid-{name}",
            "units": {"containerd": "active", "kubelet": "active"},
            "addresses": ["127.0.0.1", address],
        }
        for name, address in ADDRESSES.items()
    }
    members = [
        {"id": f"{n}00", "name": name, "peer_urls": [f"https://{ADDRESSES[name]}:2380"]}
        for n, name in enumerate(MASTERS, 1)
    ]
    for name in MASTERS:
        seen[name]["etcd_data"] = True
        seen[name]["units"] |= {"haproxy": "active", "keepalived": "active"}
        seen[name]["backends"] = dict.fromkeys(MASTERS, "UP")
        seen[name]["nodes"] = [
            {"name": node, "ready": True, "address": address, "version": "v1.20.2", "uid": f"uid-{node}"}
            for node, address in ADDRESSES.items()
        ]
        seen[name]["leases"] = {
            "kube-scheduler": "master2_1f0c2f80-4f4a-4a6e-9e6e-3d0ad7e0d9f5",
            "kube-controller-manager": "master1_8a3e",
            "node-lease-of-somebody": "else",
        }
        seen[name]["etcd"] = {"id": f"{MASTERS.index(name) + 1}00", "leader": "200", "members": copy.deepcopy(members)}
    seen["master1"]["addresses"].append("10.21.0.100")
    return states, seen


def status(
    topology: Topology, change: Callable[[States, Seen], object] | None = None, stage: Stage = Stage.WORKERS
) -> Status:
    states, seen = healthy()
    if change is not None:
        change(states, seen)
    return fold(topology, "lxc", states, seen, lab="mine", stage=stage)


def every_master(change: Callable[[Seen], object]) -> Callable[[States, Seen], object]:
    return lambda states, seen: [change(seen[name]) for name in MASTERS]


def gone(name: str) -> Callable[[States, Seen], object]:
    """The machine is off: it has no observation at all."""

    def change(states: States, seen: Seen) -> None:
        states[name] = MachineState.STOPPED
        del seen[name]

    return change


def unreachable(states: States, seen: Seen) -> None:
    seen["worker1"] = {"unreachable": "ssh: connect to host 10.21.0.14 port 22: timed out"}


def nobody_holds(states: States, seen: Seen) -> None:
    seen["master1"]["addresses"].remove("10.21.0.100")


def not_ready(one: Seen) -> None:
    one["nodes"][3]["ready"] = False


def wrong_address(one: Seen) -> None:
    one["nodes"][3]["address"] = "192.168.121.7"


def never_started(one: Seen) -> None:
    one["etcd"]["members"][2]["name"] = ""


def foreign_peer(one: Seen) -> None:
    one["etcd"]["members"][1]["peer_urls"] = ["https://192.168.121.9:2380"]


def stale(states: States, seen: Seen) -> None:
    """It was out of reach while the others were made members of a new cluster."""
    seen["worker1"]["authority"] = "an earlier cluster's"
    for name in MASTERS:
        seen[name]["nodes"].pop()


#: What is changed in a healthy lab, and what the status must then complain of: each of these, and nothing else.
COMPLAINTS: dict[str, tuple[Callable[[States, Seen], object], list[str]]] = {
    "machine off": (
        gone("worker1"),
        ["machine worker1 is stopped"],
    ),
    "machine silent": (unreachable, ["machine worker1 runs but does not answer: ssh: connect"]),
    "no holder": (nobody_holds, ["virtual IP 10.21.0.100 is held by nobody"]),
    "two holders": (
        lambda states, seen: seen["master3"]["addresses"].append("10.21.0.100"),
        ["virtual IP 10.21.0.100 is held by master1 and master3"],
    ),
    "haproxy stopped": (
        lambda states, seen: seen["master2"]["units"].update(haproxy="inactive"),
        ["haproxy on master2 is inactive"],
    ),
    "keepalived failed": (
        lambda states, seen: seen["master1"]["units"].update(keepalived="failed"),
        ["keepalived on master1 is failed"],
    ),
    "backend down": (
        lambda states, seen: seen["master1"]["backends"].update(master3="DOWN"),
        ["haproxy on master1 gets no answer from the backend on master3"],
    ),
    "backend missing": (
        lambda states, seen: seen["master1"]["backends"].pop("master2"),
        ["haproxy on master1 gets no answer from the backend on master2"],
    ),
    "node not ready": (every_master(not_ready), ["node worker1 is not Ready"]),
    "node missing": (every_master(lambda one: one["nodes"].pop()), ["worker1 is no member of the cluster"]),
    "node address outside": (
        every_master(wrong_address),
        ["node worker1 says its address is 192.168.121.7, not 10.21.0.14 in 10.21.0.0/24"],
    ),
    "worker of an earlier cluster": (stale, ["worker1 joined another cluster than the control plane's: ./inv up"]),
    "node deleted and made anew": (
        every_master(lambda one: one["nodes"][3].update(uid="another")),
        ["node worker1 was deleted and made anew by its kubelet: ./inv up joins it anew"],
    ),
    "kubelet dead, and the API does not know it yet": (
        lambda states, seen: seen["worker1"]["units"].update({"kubelet": "failed"}),
        ["kubelet on worker1 is failed"],
    ),
    "containerd dead": (
        lambda states, seen: seen["master3"]["units"].update({"containerd": "inactive"}),
        ["containerd on master3 is inactive"],
    ),
    "lease without holder": (
        every_master(lambda one: one["leases"].update({"kube-scheduler": ""})),
        ["lease kube-scheduler has no holder"],
    ),
    "no apiserver": (every_master(lambda one: (one.pop("nodes"), one.pop("leases"))), ["no apiserver answers"]),
    "no etcd": (every_master(lambda one: one.pop("etcd")), ["etcd answers on no master"]),
    "one etcd silent": (lambda states, seen: seen["master3"].pop("etcd"), ["etcd on master3 does not answer"]),
    "etcd member gone": (
        every_master(lambda one: one["etcd"]["members"].pop()),
        ["master3 is no member of etcd"],
    ),
    "etcd member never started": (
        every_master(never_started),
        ["master3 is no member of etcd", "etcd has a member that never started (https://10.21.0.13:2380)"],
    ),
    "etcd peer outside": (
        every_master(foreign_peer),
        ["etcd member master2 is reached at https://192.168.121.9:2380, not in the lab's subnet"],
    ),
    "no leader": (every_master(lambda one: one["etcd"].update(leader="0")), ["etcd has no leader"]),
}


@pytest.mark.parametrize("name", COMPLAINTS)
def test_one_thing_wrong_is_the_one_thing_that_is_said(topology: Topology, name: str) -> None:
    change, expected = COMPLAINTS[name]
    problems = status(topology, change).problems
    assert len(problems) == len(expected), problems
    for said, wanted in zip(problems, expected, strict=True):
        assert said.startswith(wanted)


def test_a_healthy_lab_has_no_problem(topology: Topology) -> None:
    found = status(topology)
    assert found.problems == ()
    assert found.healthy
    assert found.holders == ("master1",)
    assert found.endpoint == "10.21.0.100:16443"
    assert found.leases == {"kube-scheduler": "master2", "kube-controller-manager": "master1"}
    assert [member.name for member in found.etcd if member.leads] == ["master2"]


def test_a_master_that_is_off_leaves_what_the_others_say(topology: Topology) -> None:
    found = status(topology, gone("master1"))
    assert "machine master1 is stopped" in found.problems
    assert "virtual IP 10.21.0.100 is held by nobody" in found.problems
    assert len(found.nodes) == 4
    assert found.leases["kube-scheduler"] == "master2"


def test_before_kubernetes_only_machines_and_balancers_are_judged(topology: Topology) -> None:
    def no_cluster(states: States, seen: Seen) -> None:
        for name in MASTERS:
            for key in ("nodes", "leases", "etcd"):
                del seen[name][key]

    def nobody_answers(states: States, seen: Seen) -> None:
        no_cluster(states, seen)
        for name in MASTERS:
            seen[name]["backends"] = dict.fromkeys(MASTERS, "DOWN")

    assert status(topology, no_cluster, stage=Stage.LOADBALANCER).healthy
    assert not status(topology, no_cluster).healthy
    assert not status(topology, nobody_answers, stage=Stage.LOADBALANCER).healthy
    assert not status(topology, nobody_holds, stage=Stage.LOADBALANCER).healthy


def test_bare_machines_are_judged_as_machines(topology: Topology) -> None:
    def bare(states: States, seen: Seen) -> None:
        for name in ADDRESSES:
            seen[name] = {"hostname": name, "joined": False, "units": {}, "addresses": []}

    found = status(topology, bare, stage=Stage.MACHINES)
    assert found.healthy and found.lab == "mine"
    assert status(topology, gone("worker1"), stage=Stage.MACHINES).problems == ("machine worker1 is stopped",)


def test_the_json_says_all_of_it(topology: Topology) -> None:
    data = json.loads(json.dumps(status(topology, nobody_holds).as_json()))
    assert data["verdict"] == "degraded"
    assert data["provider"] == "lxc"
    assert data["machines"][3] == {"name": "worker1", "role": "worker", "address": "10.21.0.14", "state": "running"}
    assert data["loadbalancers"]["master2"]["backends"] == dict.fromkeys(MASTERS, "UP")
    assert {"vip", "holders", "nodes", "leases", "etcd", "problems"} <= data.keys()


@pytest.mark.parametrize(
    ("identity", "host"),
    [("master1_8a3e", "master1"), ("node_with_x_8a3e", "node_with_x"), ("master1", "master1"), ("", "")],
)
def test_a_holders_host_is_what_stands_before_the_uuid(identity: str, host: str) -> None:
    assert holder_host(identity) == host


def test_before_the_workers_stage_a_worker_is_rightly_no_member(topology: Topology) -> None:
    def without_worker(states: States, seen: Seen) -> None:
        for name in MASTERS:
            seen[name]["nodes"] = [node for node in seen[name]["nodes"] if node["name"] != "worker1"]

    assert status(topology, without_worker).problems == ("worker1 is no member of the cluster",)
    assert status(topology, without_worker, stage=Stage.CONTROL_PLANE).healthy
    assert not status(topology, gone("master2"), stage=Stage.CONTROL_PLANE).healthy


def test_a_fault_that_nobody_healed_is_wrong_whether_it_shows_or_not(topology: Topology) -> None:
    states, seen = healthy()
    left = [Open("haproxy-crash on master1", "the next command heals it")]
    found = fold(topology, "lxc", states, seen, lab="mine", still_open=left)
    assert not found.healthy
    assert found.problems == ("still open: haproxy-crash on master1: the next command heals it",)
