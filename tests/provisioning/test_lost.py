"""Machines of a lab that was whole are lost, or come from a cluster that is no more: what the next run makes of it.

The machines play what steps and scripts change (see remembering.py): at the end the cluster is asked who belongs to it.
"""

from __future__ import annotations

import pytest
from remembering import ALL, PREPARED, Call, Cluster, Lab, url

from lab.cluster import observation
from lab.command import CommandTimeout, Result
from lab.errors import LabError, UsageError
from lab.provisioning import control_plane
from lab.stage import Stage

FIVE = tuple(f"master{n}" for n in range(1, 6))


def agree(lab: Lab) -> Cluster:
    """Cluster and machines say the same of every machine: it is a member, as this very life of it."""
    cluster = lab.cluster
    assert cluster is not None
    names = [node.name for node in lab.topology.nodes]
    assert cluster.nodes == {name: cluster.machines[name]["node_uid"] for name in names}
    assert {cluster.machines[name]["authority"] for name in names} == {cluster.authority}
    masters = [node.name for node in lab.topology.control_planes]
    assert cluster.peers == {url(lab.topology, name): name for name in masters}
    return cluster


def forgets(lab: Lab) -> list[str]:
    """Whom the cluster was told to forget, call by call."""
    return [call.label for call in lab.journal.calls if call.name == "forget"]


class TestLost:
    """A lab that was whole comes back; what survived is not touched."""

    @pytest.mark.parametrize(
        "gone",
        [["master1"], ["master2"], ["master3"], ["worker1"], ["master1", "worker2"], ["master2", "worker1", "worker2"]],
        ids=" ".join,
    )
    def test_any_machine_comes_back_as_a_new_member(self, gone: list[str]) -> None:
        lab = Lab()
        lab.lose(*gone)
        done = lab.run(Stage.WORKERS, founded=True)
        cluster = agree(lab)
        assert cluster.authority == "first", "it is the same cluster"
        for name in ALL:
            assert (cluster.nodes[name] == f"uid-{name}") is (name not in gone)
        assert {line.split()[0] for line in done} == set(gone)
        assert {call.machine for call in lab.journal.calls if call.name == "clean"} == set()
        assert forgets(lab) == ["forget " + ", ".join(gone)]

    def test_all_dead_members_go_before_anything_joins(self) -> None:
        """With one of them still counted, etcd would want four of six."""
        lab = Lab(masters=5, workers=1)
        lab.lose("master2", "master4", "worker1")
        lab.run(Stage.WORKERS, founded=True)
        agree(lab)
        assert forgets(lab) == ["forget master2, master4, worker1"]
        for name in ("master2", "master4", "worker1"):
            assert lab.journal.before(("master1", "forget"), (name, "join"))

    def test_the_first_master_joins_through_another_one(self) -> None:
        lab = Lab()
        lab.lose("master1")
        lab.run(Stage.WORKERS, founded=True)
        assert lab.journal.steps("master1") == [*PREPARED, "join"], "no init"
        assert {call.machine for call in lab.journal.calls if call.name in ("forget", "mint")} == {"master2"}

    def test_a_run_that_was_killed_after_the_cluster_had_forgotten_goes_on(self) -> None:
        lab = Lab()
        cluster = lab.lose("master1", "worker1")
        cluster.forget("master1")
        lab.run(Stage.WORKERS, founded=True)
        agree(lab)
        assert forgets(lab) == ["forget worker1"]

    def test_a_run_that_was_killed_in_a_join_goes_on(self) -> None:
        """The member was added and has its data; the machine has no mark yet."""
        lab = Lab()
        cluster = lab.lose("master1")
        cluster.machines["master1"] |= {"kubeadm_traces": True, "etcd_data": True, "authority": "first"}
        lab.run(Stage.WORKERS, founded=True)
        agree(lab)
        assert lab.journal.before(("master1", "finish"), ("master2", "forget"))

    def test_those_whose_etcd_may_still_run_leave_last_and_one_at_a_time(self) -> None:
        lab = Lab(masters=5)
        cluster = lab.lose("master5")
        for name in ("master1", "master2"):
            cluster.nodes.pop(name)
        lab.run(Stage.WORKERS, founded=True)
        agree(lab)
        assert forgets(lab) == ["forget master5", "forget master1", "forget master2"]
        assert lab.journal.before(("master5", "join"), ("master1", "clean"))
        assert lab.journal.before(("master1", "join"), ("master2", "clean"))

    def test_a_machine_that_does_not_answer_is_not_taken_for_a_lost_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(observation, "TELL_SECONDS", 0.0)
        lab = Lab()
        cluster = lab.lose("master1")
        cluster.machines["master3"] = {"unreachable": "ssh: timed out"}
        with pytest.raises(LabError, match="master3: ssh: timed out"):
            lab.run(Stage.WORKERS, founded=True)
        assert {call.name for call in lab.journal.calls} == {"observe"}

    def test_one_that_falls_silent_on_the_way_is_not_either(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(observation, "TELL_SECONDS", 0.0)
        lab = Lab(answer=lambda call: (255, "") if (call.machine, call.name) == ("worker1", "observe") else None)
        lab.lose("master1", "worker1")
        with pytest.raises(LabError, match=r"worker1: .*observe"):
            lab.run(Stage.WORKERS, founded=True)
        assert not {"forget", "join"} & {call.name for call in lab.journal.calls}

    def test_a_slow_one_is_asked_again(self) -> None:
        """A busy host: the first look took too long, on the way another one does."""
        looks = 0

        def answer(call: Call) -> tuple[int, str] | None:
            nonlocal looks
            looks += (call.machine, call.name) == ("worker1", "observe")
            return (124, "") if call.name == "observe" and call.machine == "worker1" and looks % 2 == 1 else None

        lab = Lab(answer=answer)
        cluster = lab.lose("master1", "worker1")
        start = {name: dict(cluster.observation(name)) for name in ALL}
        start["worker1"] = {"unreachable": "it was given 15 s"}
        lab.run(Stage.WORKERS, start=start, founded=True)
        agree(lab)

    def test_every_join_that_failed_is_told(self) -> None:
        lab = Lab(answer=lambda call: (1, "") if call.name == "join" else None)
        lab.lose("master2", "worker1", "worker2")
        with pytest.raises(LabError) as caught:
            lab.run(Stage.WORKERS, founded=True)
        told = "\n".join([caught.value.message, *(error.message for error in caught.value.others)])
        assert all(f"on {name}" in told for name in ("master2", "worker1", "worker2")), told

    def test_workers_are_not_asked_for_before_their_stage(self) -> None:
        lab = Lab()
        lab.lose("master2", "worker1")
        lab.run(Stage.CONTROL_PLANE, founded=True)
        assert forgets(lab) == ["forget master2"]
        assert "join" not in lab.journal.steps("worker1")


class TestStrangers:
    """Machines that call themselves members, of what the control plane knows nothing."""

    def test_a_worker_of_a_cluster_that_is_no_more_joins_the_new_one(self) -> None:
        """A run that began again was killed between the master's cleaning and the worker's."""
        lab = Lab(masters=1, workers=1)
        seen = lab.seen(*PREPARED, joined=["worker1"])
        lab.run(Stage.WORKERS, seen)
        assert agree(lab).authority == "made by master1"
        assert lab.journal.before(("worker1", "clean"), ("worker1", "join"))
        assert lab.journal.before(("master1", "init"), ("worker1", "clean"))
        assert "worker1 belongs to a cluster that is no more: it joins again" in lab.told.lines

    @pytest.mark.parametrize("stranger", ["worker1", "master3"])
    def test_one_of_another_cluster_among_members_joins_theirs(self, stranger: str) -> None:
        lab = Lab()
        cluster = lab.lose()
        cluster.machines[stranger]["authority"] = "older"
        cluster.forget(stranger)
        assert lab.run(Stage.WORKERS, founded=True) == [f"{stranger} join"]
        agree(lab)

    @pytest.mark.parametrize("stranger", ["worker1", "master1", "master3"])
    @pytest.mark.parametrize("renewed", [False, True], ids=["deleted", "made anew"])
    def test_one_whose_node_was_deleted_joins_again(self, stranger: str, renewed: bool) -> None:
        lab = Lab()
        cluster = lab.lose()
        if renewed:
            cluster.nodes[stranger] = "another"
        else:
            del cluster.nodes[stranger]
        assert lab.run(Stage.WORKERS, founded=True) == [f"{stranger} join"]
        agree(lab)
        assert lab.journal.before((stranger, "clean"), (stranger, "join"))

    @pytest.mark.parametrize("masters", [2, 3])
    @pytest.mark.parametrize("renewed", [False, True], ids=["deleted", "made anew"])
    def test_all_nodes_were_deleted_and_one_run_mends_it(self, masters: int, renewed: bool) -> None:
        """Somebody tried ``kubectl delete nodes --all``: the member through which the others join needs it too."""
        lab = Lab(masters)
        cluster = lab.lose()
        cluster.nodes = dict.fromkeys(cluster.nodes, "another") if renewed else {}
        lab.run(Stage.WORKERS, founded=True)
        assert agree(lab).authority == "first"
        assert "init" not in {call.name for call in lab.journal.calls}
        assert lab.journal.before(("master2", "join"), ("master1", "clean"))

    def test_one_whose_etcd_member_was_removed_joins_again(self) -> None:
        lab = Lab()
        lab.lose().peers.pop(url(lab.topology, "master2"))
        assert lab.run(Stage.WORKERS, founded=True) == ["master2 join"]
        agree(lab)


class TestQuorumGone:
    """Too many masters are gone for etcd to agree on anything, ever."""

    def lab(self, *gone: str, masters: int = 3) -> Lab:
        lab = Lab(masters, answer=lambda call: (7, "") if call.name == "readyz" and not self.began(lab) else None)
        lab.lose(*gone)
        return lab

    def began(self, lab: Lab) -> bool:
        return lab.cluster is not None and lab.cluster.authority != "first"

    def test_it_is_said_at_once_and_nothing_is_touched(self) -> None:
        lab = self.lab("master1", "master3")
        with pytest.raises(LabError) as caught:
            lab.run(Stage.WORKERS, founded=True)
        assert "of 3 etcd members only master2 is left, 2 are needed" in caught.value.message
        assert "lost with their data: master1, master3" in caught.value.message
        assert "./inv up --start-again" in caught.value.hint
        assert not {"clean", "init", "join", "forget"} & {call.name for call in lab.journal.calls}
        assert sum(call.name == "readyz" for call in lab.journal.calls) == 1, "it did not wait for what cannot come"

    def test_all_masters_lost_is_said_too(self) -> None:
        lab = self.lab("master1", "master2", "master3")
        with pytest.raises(LabError, match="of 3 etcd members none is left"):
            lab.run(Stage.WORKERS, founded=True)
        assert not {"clean", "init"} & {call.name for call in lab.journal.calls}

    @pytest.mark.parametrize("gone", [["master1", "master3"], ["master1", "master2", "master3"]], ids=" ".join)
    def test_on_demand_it_is_given_up_and_begun_again(self, gone: list[str]) -> None:
        lab = self.lab(*gone)
        given_up: list[int] = []
        lab.run(Stage.WORKERS, founded=True, give_up=lambda: given_up.append(len(lab.journal.calls)))
        assert agree(lab).authority == "made by master1"
        (moment,) = given_up
        assert "clean" not in {call.name for call in lab.journal.calls[:moment]}, (
            "remembered before anything is cleaned"
        )
        assert "Starting again from init" in "\n".join(lab.told.lines)

    def test_killed_while_it_is_given_up_the_next_run_goes_on_by_itself(self) -> None:
        """The lab no longer has a cluster that is to be kept; one member is cleaned, the other not."""
        lab = self.lab("master1", "master3")
        assert lab.cluster is not None
        lab.cluster.machines["worker1"] = lab.seen(*PREPARED)["worker1"]
        lab.run(Stage.WORKERS, founded=False)
        assert agree(lab).authority == "made by master1"

    def test_what_has_its_quorum_is_not_given_up_nor_changed(self) -> None:
        lab = Lab()
        lab.lose("master1").machines["master2"]["steps"]["haproxy"] = "another digest"
        with pytest.raises(UsageError, match="--start-again: the cluster has its quorum"):
            lab.run(Stage.WORKERS, founded=True, give_up=lambda: None)
        assert {call.name for call in lab.journal.calls} <= {"readyz"}, "only looks"

    def test_two_of_five_lost_is_no_loss_of_quorum(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(control_plane, "API_SECONDS", 0.0)
        lab = self.lab("master4", "master5", masters=5)
        with pytest.raises(LabError, match="no apiserver answers on master1, master2, master3"):
            lab.run(Stage.WORKERS, founded=True, give_up=lambda: None)
        assert "clean" not in {call.name for call in lab.journal.calls}

    def test_a_survivor_whose_etcd_is_silent_is_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(control_plane, "API_SECONDS", 1.5)
        silent = {"readyz": (7, ""), "etcd members": (7, "")}
        lab = Lab(answer=lambda call: silent.get(call.name))
        lab.lose("master1", "master3")
        with pytest.raises(LabError, match="of 3 etcd members only master2 is left"):
            lab.run(Stage.WORKERS, founded=True)
        assert sum(call.name == "readyz" for call in lab.journal.calls) > 1

    @pytest.mark.parametrize("question", ["readyz", "etcd health", "etcd members"])
    def test_a_question_that_takes_too_long_ends_nothing(self, question: str) -> None:
        asked = 0

        def answer(call: Call) -> tuple[int, str] | None:
            nonlocal asked
            asked += call.name == question
            if call.name == question and asked == 1:
                raise CommandTimeout(Result(question, 124, "", "", 15.0, call.machine), "it was given 15 s")
            return (7, "") if call.name == "readyz" else None

        lab = Lab(answer=answer)
        lab.lose("master1", "master3")
        with pytest.raises(LabError, match="of 3 etcd members only master2 is left"):
            lab.run(Stage.WORKERS, founded=True)

    def test_what_the_survivors_know_is_believed_also_after_all_waiting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two of five were lost and removed, then another one: two of three are left, and one of them is slow."""
        monkeypatch.setattr(control_plane, "API_SECONDS", 0.0)

        silent = {("master2", "etcd members"), ("master1", "readyz"), ("master2", "readyz")}
        lab = Lab(masters=5, answer=lambda call: (7, "") if (call.machine, call.name) in silent else None)
        cluster = lab.lose("master3", "master4", "master5")
        for name in ("master4", "master5"):
            cluster.forget(name)
        with pytest.raises(LabError, match="no apiserver answers on master1, master2"):
            lab.run(Stage.WORKERS, founded=True, give_up=lambda: None)
        assert "clean" not in {call.name for call in lab.journal.calls}

    def test_killed_while_members_were_cleaned_the_next_run_goes_on_by_itself(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Their certificates are gone, not all of their data, and the mark, which goes last, is still there."""
        monkeypatch.setattr(control_plane, "API_SECONDS", 0.0)
        lab = self.lab()
        assert lab.cluster is not None
        for name in ("master1", "master2", "master3"):
            lab.cluster.machines[name]["authority"] = ""
        lab.answer = lambda call: (
            (7, "")
            if call.name == "readyz" and not self.began(lab)
            else (77, "")
            if call.name == "etcd members"
            else None
        )
        lab.run(Stage.WORKERS, founded=False)
        assert agree(lab).authority == "made by master1"

    def test_a_machine_that_hangs_is_named_and_nothing_is_said_of_the_others(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(control_plane, "API_SECONDS", 0.0)
        hangs = {("master2", "readyz"), ("master2", "observe")}
        lab = Lab(answer=lambda call: (7, "") if (call.machine, call.name) in hangs or call.name == "readyz" else None)
        lab.lose("master1", "master3")
        with pytest.raises(LabError, match=r"master2: .*observe"):
            lab.run(Stage.WORKERS, founded=True, give_up=lambda: None)

    def test_a_half_joined_master_does_not_cost_a_whole_cluster(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The rule for a cluster that never was: once it was whole, a busy host proves nothing."""
        monkeypatch.setattr(control_plane, "API_SECONDS", 0.0)
        lab = self.lab("master3")
        assert lab.cluster is not None
        lab.cluster.machines["master3"]["kubeadm_traces"] = True
        with pytest.raises(LabError, match="no apiserver answers on master1, master2"):
            lab.run(Stage.WORKERS, founded=True, give_up=lambda: None)
        assert "clean" not in {call.name for call in lab.journal.calls}

    def test_a_machine_that_is_about_to_join_is_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Between the moment its member is added and the one it starts, a quorum of two looks lost."""
        monkeypatch.setattr(control_plane, "API_SECONDS", 1.5)
        looks = 0

        def answer(call: Call) -> tuple[int, str] | None:
            nonlocal looks
            if call.name == "readyz":
                looks += 1
                return (7, "") if looks == 1 else None
            return None

        lab = Lab(masters=2, workers=0, answer=answer)
        cluster = lab.lose("master2")
        cluster.machines["master2"] |= {"kubeadm_traces": True, "units": {"halab-kubeadm": "activating"}}
        lab.run(Stage.WORKERS)
        assert "clean" not in {call.name for call in lab.journal.calls}
        assert agree(lab).authority == "first"
