"""Machines of a real lab are lost with all their data: ``up`` brings them back, or says what cannot come back."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from judging import BACK, NODES, TOPOLOGY, Shared, all_well
from killing import Moment, kill_at
from labs import made
from losing import came_back, identities, lose, something_to_keep
from running import Inv, healthy, names, until

from lab.provisioning.membership import CLEAN

pytestmark = pytest.mark.live

#: Seconds in which ``up`` must say that a quorum is gone: machines are made, a survivor's etcd is asked.
SAID = 80.0

DEFINITION = """
name: {name}
provider: lxc
nodes:
{nodes}
"""


def definition(place: Path, name: str, masters: int) -> Path:
    """A lab of so many masters and one worker, as a file."""
    nodes = [f"  - {{name: master{n}, role: master}}" for n in range(1, masters + 1)]
    file = place / f"{name}.yaml"
    file.write_text(DEFINITION.format(name=name, nodes="\n".join([*nodes, "  - {name: worker1, role: worker}"])))
    return file


class TestLost:
    """In the shared lab: it is whole again at the end."""

    @pytest.mark.parametrize(
        "gone",
        [
            ["master1"],
            ["master3", "worker1"],
            pytest.param(["master2"], marks=pytest.mark.long),
            pytest.param(["worker1"], marks=pytest.mark.long),
        ],
        ids=" ".join,
    )
    def test_lost_machines_come_back_as_new_members_of_the_same_cluster(
        self, gone: list[str], lab: Shared, tmp_path: Path
    ) -> None:
        lab.healthy()
        before, survivor = identities(lab.inv), next(node for node in reversed(NODES) if node not in gone)
        with something_to_keep(lab.inv, survivor):
            lose(lab.inv, gone)
            done = lab.inv.up(seconds=BACK + 120)
            came_back(lab.inv, gone, before)
        assert f"nothing of the cluster is left on {', '.join(gone)}" in done.out
        all_well(lab, tmp_path)
        lab.inv.until(lambda seen: seen["holders"] == [TOPOLOGY.ranked[0].name], "the best master to hold the VIP", 60)
        assert "nothing had to change" in lab.inv.up().out

    @pytest.mark.long
    @pytest.mark.parametrize(
        "moment",
        [
            Moment("host", "machines"),
            Moment("master1", "keepalived"),
            Moment("master2", "forget"),
            Moment("master1", "credential"),
            Moment("master1", "join"),
            Moment("host", "healthy"),
        ],
        ids=str,
    )
    def test_an_up_that_is_killed_while_it_repairs_is_gone_on_with(
        self, moment: Moment, lab: Shared, tmp_path: Path
    ) -> None:
        lab.healthy()
        before = identities(lab.inv)
        with something_to_keep(lab.inv, "master3"):
            lose(lab.inv, ["master1", "worker1"])
            kill_at(lab.inv, moment)
            lab.inv.up(seconds=BACK + 120)
            came_back(lab.inv, ["master1", "worker1"], before)
        all_well(lab, tmp_path)

    @pytest.mark.long
    def test_one_is_lost_while_another_is_off(self, lab: Shared, tmp_path: Path) -> None:
        """The one that is off is no lost one: it has its data, and comes back as what it was."""
        lab.healthy()
        before = identities(lab.inv)
        with something_to_keep(lab.inv, "worker1"):
            lab.inv("power", "off", "master2")
            lose(lab.inv, ["master1"])
            lab.inv.up(seconds=BACK + 120)
            came_back(lab.inv, ["master1"], before)
        all_well(lab, tmp_path)

    @pytest.mark.long
    def test_one_is_lost_on_which_a_killed_verification_left_a_fault(self, lab: Shared, tmp_path: Path) -> None:
        """The fault went with the machine: healing it on the new one, where haproxy is not set up yet, would fail."""
        lab.healthy()
        before, holder = identities(lab.inv), lab.holder
        ledger = lab.inv.state / "faults.json"
        with lab.inv.start("verify", "--case", "haproxy-stop") as running:
            until(lambda: ledger.is_file() and "haproxy-stop" in ledger.read_text(), bool, "an open fault", 120)
            running.signal(signal.SIGKILL)
            running.wait(30)
        lose(lab.inv, [holder])
        done = lab.inv.up(seconds=BACK + 120)
        assert f"haproxy-stop on {holder}, left open by an earlier command, went with its machine" in done.out
        came_back(lab.inv, [holder], before)
        all_well(lab, tmp_path)

    @pytest.mark.long
    @pytest.mark.parametrize("node", ["worker1", "master2"])
    def test_one_whose_node_was_deleted_joins_again(self, node: str, lab: Shared, tmp_path: Path) -> None:
        lab.healthy()
        before = identities(lab.inv)
        lab.inv("kubectl", "delete", "node", node, "--wait=false")
        lab.inv("ssh", node, "systemctl restart kubelet")
        lab.inv.until(
            lambda seen: any("deleted and made anew" in problem for problem in seen["problems"]), "it to be said", 120
        )
        done = lab.inv.up(seconds=BACK + 120)
        assert f"{node} has a Node that is not the one as which it joined: it joins again" in done.out
        came_back(lab.inv, [node], before)
        all_well(lab, tmp_path)


@pytest.mark.long
def test_two_of_five_masters_are_lost(containers: None, tmp_path: Path) -> None:
    with made("five", definition(tmp_path, "five", 5)) as lab:
        lab.up()
        before = identities(lab)
        with something_to_keep(lab, "worker1"):
            lose(lab, ["master1", "master4"])
            lab.up(seconds=BACK + 300)
            came_back(lab, ["master1", "master4"], before)
        assert "nothing had to change" in lab.up().out


@pytest.fixture
def hopeless(containers: None, tmp_path: Path) -> Iterator[Inv]:
    """A lab of three masters, of which two are gone for good."""
    with made("hopeless", definition(tmp_path, "hopeless", 3)) as lab:
        lab.up()
        lab("kubectl", "create", "configmap", "told-before", "--from-literal", "word=remembered")
        lose(lab, ["master1", "master3"])
        yield lab


@pytest.mark.long
def test_where_the_quorum_is_gone_it_is_said_and_given_up_only_on_demand(hopeless: Inv) -> None:
    authority = hopeless.on("master2", "sha256sum < /etc/kubernetes/pki/ca.crt")
    for _ in range(2):  # the second time machines are there again, and empty
        begun = time.monotonic()
        said = hopeless.up(status=1)
        assert time.monotonic() - begun < SAID
        assert "etcd has lost its quorum for good: of 3 etcd members only master2 is left, 2 are needed" in said.err
        assert "lost with their data: master1, master3" in said.err
        assert "./inv up --start-again" in said.err
    assert hopeless.on("master2", "sha256sum < /etc/kubernetes/pki/ca.crt") == authority, "nothing was touched"

    # Given up, and killed as it is taken apart: from here on it goes on by itself, as if it had never been whole.
    kill_at(hopeless, Moment("host", "start again"), "--start-again")
    hopeless.up(seconds=BACK + 300)
    until(hopeless.status, healthy, "a healthy lab", BACK)
    assert names(hopeless.status(), "etcd") == ["master1", "master2", "master3"]
    assert len({hopeless.on(node, "sha256sum < /etc/kubernetes/pki/ca.crt") for node in NODES}) == 1
    assert hopeless.on("worker1", "sha256sum < /etc/kubernetes/pki/ca.crt") != authority
    hopeless("kubectl", "get", "configmap", "told-before", status=1)
    refused = hopeless.up("--start-again", status=64)
    assert "--start-again: the cluster has its quorum" in refused.err


@pytest.mark.long
def test_a_worker_of_a_cluster_that_is_no_more_joins_the_new_one(containers: None, tmp_path: Path) -> None:
    """As a run left it that began again, and was killed between the master's cleaning and the worker's."""
    with made("stale", definition(tmp_path, "stale", 1)) as lab:
        lab.up()
        authority = lab.on("worker1", "sha256sum < /etc/kubernetes/pki/ca.crt")
        lab.on("master1", "bash -s", stdin=f"set -euo pipefail\n{CLEAN.read_text()}\nclean\n")
        for name in ("founded", "kubeconfig"):
            (lab.state / name).unlink()
        kill_at(lab, Moment("worker1", "leave"))
        problems = lab.status()["problems"]
        assert "worker1 joined another cluster than the control plane's: ./inv up joins it anew" in problems
        done = lab.up(seconds=BACK + 120)
        until(lab.status, healthy, "a healthy lab", BACK)
        assert done.seconds < BACK
        assert lab.on("worker1", "sha256sum < /etc/kubernetes/pki/ca.crt") != authority
        assert json.loads(lab("kubectl", "get", "node", "worker1", "-o", "json").out)["metadata"]["uid"]
