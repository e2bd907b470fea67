"""A run on a lab that an earlier one has been at: what is still to be done, and what cannot be saved."""

from __future__ import annotations

import pytest
from remembering import ALL, PREPARED, Call, Lab

from lab.errors import LabError
from lab.provisioning import control_plane
from lab.stage import Stage


class TestAgain:
    """A second run does what is missing, and no more."""

    def test_a_lab_where_all_is_done_is_left_alone(self) -> None:
        lab = Lab()
        assert lab.run(Stage.WORKERS, lab.seen(*PREPARED, joined=ALL)) == []
        assert {call.name for call in lab.journal.calls} <= {"readyz"}, "only looks"

    def test_a_step_whose_text_changed_runs_again(self) -> None:
        lab = Lab()
        seen = lab.seen(*PREPARED, joined=ALL)
        seen["master2"]["steps"]["haproxy"] = "another digest"
        assert lab.run(Stage.WORKERS, seen) == ["master2 haproxy"]

    def test_a_new_machine_joins_through_a_member_that_answers(self) -> None:
        lab = Lab(answer=lambda call: (1, "") if (call.machine, call.name) == ("master2", "readyz") else None)
        done = lab.run(Stage.WORKERS, lab.seen(*PREPARED, joined=("master2", "master3", "worker1", "worker2")))
        assert done == ["master1 join"]
        assert [call.machine for call in lab.journal.calls if call.name == "mint"] == ["master3"]

    def test_a_master_is_forgotten_by_etcd_before_it_joins_again(self) -> None:
        lab = Lab()
        lab.lose("master3")
        lab.run(Stage.WORKERS)
        assert lab.journal.before(("master1", "forget"), ("master3", "join"))

    def test_a_machine_that_became_a_member_meanwhile_is_not_forgotten(self) -> None:
        """Its kubeadm, left going by a killed run, came to its end after the machines were looked at."""
        lab = Lab()
        cluster = lab.lose("master2", "master3")
        cluster.machines["master2"]["kubeadm_traces"] = True

        def answer(call: Call) -> None:
            if (call.machine, call.name) == ("master2", "finish"):
                cluster.become_member("master2")

        lab.answer = answer
        done = lab.run(Stage.WORKERS)
        assert sorted(line for line in done if line.endswith("join")) == ["master2 join", "master3 join"]
        forgets = [call for call in lab.journal.calls if call.name == "forget"]
        assert [call.label for call in forgets] == ["forget master3"]
        assert lab.journal.before(("master2", "finish"), ("master1", "forget"))
        assert "join" not in lab.journal.steps("master2")
        assert cluster.nodes["master2"] == "uid-master2-1"

    def test_an_earlier_attempt_comes_to_its_end_before_etcd_forgets(self) -> None:
        lab = Lab()
        lab.lose("master3")
        lab.run(Stage.WORKERS)
        assert lab.journal.before(("master3", "finish"), ("master1", "forget"))

    def test_a_cluster_that_lost_its_quorum_half_way_begins_again_and_says_so(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(control_plane, "API_SECONDS", 0.0)
        lab = Lab(answer=lambda call: (7, "") if call.name == "readyz" else None)
        done = lab.run(Stage.WORKERS, lab.seen(*PREPARED, joined=["master1"], traces=["master2"]))
        assert "etcd has lost its quorum: master2" in "\n".join(lab.told.lines)
        for machine in ALL:
            assert lab.journal.before((machine, "clean"), ("master1", "init"))
        for machine in ALL[1:]:
            assert lab.journal.before(("master1", "clean"), (machine, "clean")), "members first"
        assert sorted(done) == ["master1 init", "master2 join", "master3 join", "worker1 join", "worker2 join"]

    def test_a_cluster_whose_etcd_has_its_quorum_is_not_thrown_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Apiservers may need long on a busy host; a machine that is half-way in proves no loss."""
        monkeypatch.setattr(control_plane, "API_SECONDS", 0.0)
        said = {"readyz": (7, ""), "etcd health": (0, '{"health":"true","reason":""}')}
        lab = Lab(answer=lambda call: said.get(call.name))
        with pytest.raises(LabError, match="no apiserver answers on master1, master2, though etcd has its quorum"):
            lab.run(Stage.WORKERS, lab.seen(*PREPARED, joined=["master1", "master2"], traces=["master3"]))
        assert "clean" not in {call.name for call in lab.journal.calls}

    def test_members_that_do_not_answer_are_not_thrown_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(control_plane, "API_SECONDS", 0.0)
        lab = Lab(answer=lambda call: (7, "") if call.name == "readyz" else None)
        with pytest.raises(LabError, match="no apiserver answers on master1, master2, master3"):
            lab.run(Stage.WORKERS, lab.seen(*PREPARED, joined=ALL))
        assert "clean" not in {call.name for call in lab.journal.calls}
