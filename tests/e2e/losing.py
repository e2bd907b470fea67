"""Machines of a lab in containers that are gone with all their data, and what must be true once ``up`` was told to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from running import Inv, healthy, names, until

#: The image of tests and exercises that every payload brings.
WORKLOAD = "lab.local/busybox:1"


def lose(inv: Inv, machines: Iterable[str]) -> None:
    """Delete containers by LXC's own tool, as a person might: nothing inside can say goodbye, no disk is left."""
    for machine in machines:
        inv("enter", "lxc-destroy", "--force", "--name", inv.identity.machine(machine))
    states = {machine["name"]: machine["state"] for machine in inv.status()["machines"]}
    assert {states[machine] for machine in machines} <= {"absent"}


@dataclass(frozen=True)
class Identities:
    """What the cluster made of each machine: its Node's UID, its etcd member's id (masters)."""

    nodes: dict[str, str]
    members: dict[str, str]


def identities(inv: Inv) -> Identities:
    """Who is in the cluster now."""
    status = inv.status()
    return Identities(
        {node["name"]: node["uid"] for node in status["nodes"]},
        {member["name"]: member["id"] for member in status["etcd"]},
    )


@contextmanager
def something_to_keep(inv: Inv, node: str) -> Iterator[None]:
    """A pod on a machine that survives, and data in etcd: at the end of the with-block both must still be there."""
    container = {"name": "it", "image": WORKLOAD, "command": ["sleep", "86400"]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "survivor"},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]},
    }
    inv("kubectl", "create", "--filename", "-", stdin=json.dumps(pod))
    inv("kubectl", "wait", "--for=condition=Ready", "pod/survivor", "--timeout=120s", seconds=150)
    inv("kubectl", "create", "configmap", "told-before", "--from-literal", "word=remembered")
    what = "{.metadata.uid} {.status.phase} {.status.containerStatuses[0].containerID}"
    before = inv("kubectl", "get", "pod", "survivor", "-o", f"jsonpath={what}").out
    yield
    assert inv("kubectl", "get", "pod", "survivor", "-o", f"jsonpath={what}").out == before, "the same container runs"
    assert inv("kubectl", "get", "configmap", "told-before", "-o", "jsonpath={.data.word}").out == "remembered"
    inv("kubectl", "delete", "pod/survivor", "configmap/told-before", "--wait=false")


def came_back(inv: Inv, gone: Iterable[str], before: Identities) -> None:
    """The lab is whole: what was lost is in it as something new, what was not is what it was before."""
    until(inv.status, healthy, "a healthy lab", 300)
    after = identities(inv)
    assert after.nodes.keys() == before.nodes.keys()
    assert after.members.keys() == before.members.keys(), "the members of etcd are exactly the masters"
    assert {name for name, uid in after.nodes.items() if uid != before.nodes[name]} == set(gone)
    assert {name for name, one in after.members.items() if one != before.members[name]} == set(gone) & set(
        after.members
    )
    for name, uid in after.nodes.items():
        assert inv.on(name, "cat /var/lib/halab/joined").strip() == uid
    config = inv("kubectl", "-n", "kube-system", "get", "configmap", "kubeadm-config", "-o", "json").json()
    endpoints = config["data"]["ClusterStatus"]
    assert sorted(after.members) == sorted(name for name in after.nodes if f"  {name}:" in endpoints)
    bound = inv("kubectl", "get", "pods", "-A", "-o", "jsonpath={range .items[*]}{.spec.nodeName}{'\\n'}{end}").out
    assert set(bound.split()) <= set(names(inv.status(), "machines"))
