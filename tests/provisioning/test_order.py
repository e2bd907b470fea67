"""The order in which machines become a cluster, told by machines that only remember what was run on them."""

from __future__ import annotations

import threading

import pytest
from remembering import ALL, PREPARED, Answer, Call, Lab

from lab.stage import Stage


class TestOrder:
    """Nothing begins before what it rests on."""

    def test_each_kind_of_machine_goes_through_its_steps_in_order(self) -> None:
        lab = Lab()
        lab.run(Stage.WORKERS)
        assert lab.journal.steps("master1") == [*PREPARED, "init"]
        assert lab.journal.steps("master2") == [*PREPARED, "join"]
        assert lab.journal.steps("worker1") == ["node", "containerd", "kubernetes", "join"]

    def test_init_comes_after_the_load_balancer_on_every_master_and_a_holder_of_the_virtual_ip(self) -> None:
        lab = Lab()
        lab.run(Stage.WORKERS)
        for master in ("master1", "master2", "master3"):
            assert lab.journal.before((master, "keepalived"), ("master1", "init"))
        assert lab.journal.before(("master1", "vip"), ("master1", "init"))

    def test_nobody_joins_before_init_has_ended(self) -> None:
        lab = Lab()
        lab.run(Stage.WORKERS)
        for machine in ALL[1:]:
            assert lab.journal.before(("master1", "init"), (machine, "join"))

    def test_masters_join_one_after_another(self) -> None:
        lab = Lab(masters=5)
        lab.run(Stage.WORKERS)
        joins = [event for event in lab.journal.events if event[2] == "join" and event[1].startswith("master")]
        assert joins == [(edge, f"master{n}", "join") for n in (2, 3, 4, 5) for edge in ("begin", "end")]

    def test_a_step_is_recorded_once_it_is_through(self) -> None:
        lab = Lab()
        lab.run(Stage.WORKERS)
        for machine in ALL:
            for step in lab.journal.steps(machine):
                assert lab.journal.before((machine, step), (machine, f"record {step}"))

    def test_what_was_done_is_told(self) -> None:
        lab = Lab(masters=1, workers=1)
        done = lab.run(Stage.WORKERS)
        assert sorted(done) == sorted(
            [*(f"master1 {step}" for step in (*PREPARED, "init"))]
            + [f"worker1 {step}" for step in ("node", "containerd", "kubernetes", "join")]
        )


class TestParallel:
    """What may run side by side does: each of these waits for company, and fails alone."""

    def together(self, *company: tuple[str, str]) -> Answer:
        barrier = threading.Barrier(len(company))

        def answer(call: Call) -> None:
            if (call.machine, call.name) in company:
                barrier.wait(timeout=5)

        return answer

    def test_all_machines_are_prepared_at_once(self) -> None:
        Lab(answer=self.together(*((machine, "containerd") for machine in ALL))).run(Stage.WORKERS)

    def test_a_worker_does_not_wait_for_the_masters_load_balancer(self) -> None:
        Lab(answer=self.together(("master1", "haproxy"), ("worker1", "containerd"))).run(Stage.WORKERS)

    def test_workers_join_beside_each_other_and_beside_the_masters(self) -> None:
        Lab(answer=self.together(("master2", "join"), ("worker1", "join"), ("worker2", "join"))).run(Stage.WORKERS)

    def test_the_companion_test_can_fail(self) -> None:
        with pytest.raises(threading.BrokenBarrierError):
            Lab(answer=_impatient(self, ("master2", "join"), ("master3", "join"))).run(Stage.WORKERS)


def _impatient(parallel: TestParallel, *company: tuple[str, str]) -> Answer:
    barrier = threading.Barrier(len(company))

    def answer(call: Call) -> None:
        if (call.machine, call.name) in company:
            barrier.wait(timeout=0.3)

    return answer


class TestStages:
    """``--until`` ends where it says."""

    def test_machines_alone_run_nothing(self) -> None:
        lab = Lab()
        assert lab.run(Stage.MACHINES) == []
        assert lab.journal.calls == []

    def test_loadbalancer_ends_with_the_answerer_on_every_master(self) -> None:
        lab = Lab()
        lab.run(Stage.LOADBALANCER)
        for master in ("master1", "master2", "master3"):
            assert lab.journal.steps(master) == ["node", "haproxy", "keepalived", "answerer"]
        assert lab.journal.steps("worker1") == ["node"]

    def test_loadbalancer_puts_no_answerer_where_an_apiserver_is(self) -> None:
        lab = Lab()
        lab.run(Stage.LOADBALANCER, lab.seen(*PREPARED, joined=ALL))
        assert lab.journal.calls == []

    def test_control_plane_leaves_the_workers_prepared_and_out(self) -> None:
        lab = Lab()
        lab.run(Stage.CONTROL_PLANE)
        assert lab.journal.steps("master3")[-1] == "join"
        assert lab.journal.steps("worker1") == ["node", "containerd", "kubernetes"]

    def test_the_answerer_goes_before_kubernetes_comes(self) -> None:
        lab = Lab()
        lab.run(Stage.WORKERS, lab.seen("node", "haproxy", "keepalived", "answerer"))
        assert lab.journal.steps("master2") == ["answerer-remove", "containerd", "kubernetes", "join"]
        assert "answerer-remove" not in lab.journal.steps("worker1")

    @pytest.mark.parametrize("state", ["active", "activating", "failed"])
    def test_an_answerer_that_was_never_written_down_goes_too(self, state: str) -> None:
        lab = Lab()
        seen = lab.seen("node", "haproxy", "keepalived")
        seen["master2"] = {**seen["master2"], "units": {"halab-answerer": state}}
        seen["master3"] = {**seen["master3"], "units": {"halab-answerer": "inactive"}}
        lab.run(Stage.WORKERS, seen)
        assert "answerer-remove" in lab.journal.steps("master2")
        assert "answerer-remove" not in lab.journal.steps("master3")

    @pytest.mark.parametrize(("masters", "workers"), [(1, 0), (1, 1), (2, 0), (5, 3)])
    def test_other_shapes_come_up_too(self, masters: int, workers: int) -> None:
        lab = Lab(masters, workers)
        done = lab.run(Stage.WORKERS)
        assert sum(line.endswith(" init") for line in done) == 1
        assert sum(line.endswith(" join") for line in done) == masters + workers - 1
