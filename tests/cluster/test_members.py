"""Who is a member of the cluster, and whom it has lost: one machine's own word against the control plane's."""

from __future__ import annotations

from typing import Any

import pytest

from lab.cluster.members import Cluster, Standing, lost, standing, told
from lab.definition import parse
from lab.topology import derive

TOPOLOGY = derive(parse("nodes: [{name: m1, role: master}, {name: m2, role: master}, {name: w1, role: worker}]"), "")
M2, W1 = TOPOLOGY.node("m2"), TOPOLOGY.node("w1")
URLS = {name: f"https://{TOPOLOGY.node(name).address}:2380" for name in ("m1", "m2")}
CLUSTER = Cluster(
    "ours", {"m1": "uid-m1", "m2": "uid-m2", "w1": "uid-w1"}, {URLS["m1"]: "m1", URLS["m2"]: "m2"}
)  # fmt: skip

NEW: dict[str, Any] = {"joined": False, "kubeadm_traces": False, "etcd_data": False, "authority": "", "node_uid": ""}
MASTER = {"joined": True, "kubeadm_traces": True, "etcd_data": True, "authority": "ours", "node_uid": "uid-m2"}
WORKER = {**MASTER, "etcd_data": False, "node_uid": "uid-w1"}
HALF = {**MASTER, "joined": False, "node_uid": ""}


def without(name: str) -> Cluster:
    """The cluster that has forgotten a machine."""
    nodes = {node: uid for node, uid in CLUSTER.nodes.items() if node != name}
    return Cluster("ours", nodes, {url: member for url, member in CLUSTER.peers.items() if member != name})


#: What is seen of a master, what the cluster knows of it, how it stands, and has the cluster lost it?
MASTERS: dict[str, tuple[dict[str, Any], Cluster, Standing, bool]] = {
    "all agree": (MASTER, CLUSTER, Standing.MEMBER, False),
    "marked by an earlier version, without a UID": ({**MASTER, "node_uid": ""}, CLUSTER, Standing.MEMBER, False),
    "new, the cluster has never heard of it": (NEW, without("m2"), Standing.OUTSIDE, False),
    "made anew in the place of a member": (NEW, CLUSTER, Standing.OUTSIDE, True),
    "made anew, its Node deleted already": (NEW, Cluster("ours", {}, CLUSTER.peers), Standing.OUTSIDE, True),
    "made anew, its etcd member removed already": (NEW, Cluster("ours", CLUSTER.nodes, {}), Standing.OUTSIDE, True),
    "half-way in, its etcd has data": (HALF, CLUSTER, Standing.OUTSIDE, False),
    "half-way in, its etcd has data and never started": (
        HALF,
        Cluster("ours", CLUSTER.nodes, {URLS["m2"]: ""}),
        Standing.OUTSIDE,
        True,
    ),
    "half-way in, no data yet": ({**HALF, "etcd_data": False}, CLUSTER, Standing.OUTSIDE, True),
    "its etcd's data is gone": ({**MASTER, "etcd_data": False}, CLUSTER, Standing.OUTSIDE, True),
    "of another cluster": ({**MASTER, "authority": "older"}, without("m2"), Standing.FOREIGN, False),
    "of another cluster, in the place of a member": ({**MASTER, "authority": "older"}, CLUSTER, Standing.FOREIGN, True),
    "its Node was deleted, its etcd runs": (MASTER, Cluster("ours", {}, CLUSTER.peers), Standing.REMOVED, False),
    "its etcd member was removed": (MASTER, Cluster("ours", CLUSTER.nodes, {}), Standing.REMOVED, False),
    "its Node was deleted and made anew": ({**MASTER, "node_uid": "older"}, CLUSTER, Standing.RENEWED, False),
}

WORKERS: dict[str, tuple[dict[str, Any], Cluster, Standing, bool]] = {
    "all agree": (WORKER, CLUSTER, Standing.MEMBER, False),
    "marked by an earlier version, without a UID": ({**WORKER, "node_uid": ""}, CLUSTER, Standing.MEMBER, False),
    "new": (NEW, without("w1"), Standing.OUTSIDE, False),
    "made anew in the place of a member": (NEW, CLUSTER, Standing.OUTSIDE, True),
    "half-way in": ({**WORKER, "joined": False}, CLUSTER, Standing.OUTSIDE, True),
    "of another cluster": ({**WORKER, "authority": "older"}, without("w1"), Standing.FOREIGN, False),
    "its Node was deleted": (WORKER, without("w1"), Standing.REMOVED, False),
    "its Node was deleted and made anew": ({**WORKER, "node_uid": "older"}, CLUSTER, Standing.RENEWED, True),
}


@pytest.mark.parametrize("case", MASTERS)
def test_how_a_master_stands_to_the_cluster(case: str) -> None:
    seen, cluster, expected, gone = MASTERS[case]
    assert standing(M2, seen, cluster) is expected
    assert lost(M2, seen, cluster) is gone


@pytest.mark.parametrize("case", WORKERS)
def test_how_a_worker_stands_to_the_cluster(case: str) -> None:
    seen, cluster, expected, gone = WORKERS[case]
    assert standing(W1, seen, cluster) is expected
    assert lost(W1, seen, cluster) is gone


def test_only_a_control_plane_that_answers_tells_of_a_cluster() -> None:
    members = [{"id": "1", "name": "m1", "peer_urls": [URLS["m1"]]}, {"id": "2", "name": "", "peer_urls": [URLS["m2"]]}]
    seen = {**MASTER, "nodes": [{"name": "m1", "uid": "uid-m1"}], "etcd": {"members": members}}
    assert told(seen) == Cluster("ours", {"m1": "uid-m1"}, {URLS["m1"]: "m1", URLS["m2"]: ""})
    for key in ("authority", "nodes", "etcd"):
        assert told({name: value for name, value in seen.items() if name != key}) is None
    assert told({"unreachable": "no route to host"}) is None
