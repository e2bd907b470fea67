"""The order in which machines become a cluster, told by machines that only remember what was run on them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from lab import provisioning
from lab.command import CommandError, LineSink, Result
from lab.definition import parse
from lab.errors import LabError
from lab.plan import steps_of
from lab.provisioning import Provisioner, Script, Stage
from lab.timeline import Phase, Timeline
from lab.topology import Topology, derive

TOKEN, HASH, KEY = "abcdef.0123456789abcdef", "sha256:" + "5" * 64, "7" * 64
SECRETS = (TOKEN, HASH, KEY)

#: What a machine answers to a script: its status and its output. Called while the script "runs".
Answer = Callable[["Call"], tuple[int, str] | None]


@dataclass(frozen=True)
class Call:
    """One script on one machine; ``name`` is the step's, or a word for what else provisioning does."""

    machine: str
    name: str
    text: str
    label: str


@dataclass
class Journal:
    """What ran on all machines, as ("begin" or "end", machine, name), in the order of time."""

    events: list[tuple[str, str, str]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, edge: str, call: Call) -> None:
        with self.lock:
            self.events.append((edge, call.machine, call.name))
            if edge == "begin":
                self.calls.append(call)

    def steps(self, machine: str) -> list[str]:
        """The steps of one machine in their order."""
        return [
            call.name for call in self.calls if call.machine == machine and call.text.startswith(("step ", "export "))
        ]

    def before(self, first: tuple[str, str], second: tuple[str, str]) -> bool:
        """Had the first (machine, name) ended when the second began?"""
        return self.events.index(("end", *first)) < self.events.index(("begin", *second))


@dataclass
class FakeMachine:
    """Remembers what is run on it; has the virtual IP when it shall."""

    name: str
    journal: Journal
    answer: Answer
    role: str = "master"

    def run(
        self,
        script: str,
        args: Sequence[str] = (),
        *,
        label: str | None = None,
        timeout: float | None = 60.0,
        sink: LineSink | None = None,
        secret: bool = False,
    ) -> Result:
        assert timeout is not None, "every wait has a deadline"
        call = Call(self.name, _name(script, args, label), script, label or "")
        self.journal.add("begin", call)
        status, output = self.answer(call) or (0, self._usual(call, args))
        if sink is not None:
            sink(output)
        self.journal.add("end", call)
        return Result(
            label or "script", status, output, "" if status == 0 else f"{call.name} is ill", 0.1, self.name, secret
        )

    def _usual(self, call: Call, args: Sequence[str]) -> str:
        if call.name == "mint":
            return "\n".join(SECRETS if args == ["master"] else SECRETS[:2])
        return f"2: eth0 inet {self.name}" if call.name == "vip" and self.name == "master1" else ""


def _name(script: str, args: Sequence[str], label: str | None) -> str:
    if script == provisioning.RECORD:
        return f"record {args[0]}"
    if script == provisioning.MINT.read_text():
        return "mint"
    if script == provisioning.FORGET.read_text():
        return "forget"
    if script == provisioning.FINISH.read_text():
        return "finish"
    if script.startswith(provisioning.CLEAN.read_text()):
        return "clean"
    if script.startswith("ip "):
        return "vip"
    if "/readyz" in script:
        return "readyz"
    return script.splitlines()[-1].removeprefix("step ")


class Told:
    """A listener that keeps every line it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.phases: list[Phase] = []

    def begin(self, machine: str, phase: str) -> None:
        self.lines.append(f"{machine} {phase}")

    def line(self, machine: str, text: str) -> None:
        self.lines.append(text)

    def end(self, phase: Phase) -> None:
        self.phases.append(phase)


@dataclass
class Lab:
    """A lab of machines that only remember."""

    masters: int = 3
    workers: int = 2
    answer: Answer = lambda call: None
    journal: Journal = field(default_factory=Journal)
    told: Told = field(default_factory=Told)

    @property
    def topology(self) -> Topology:
        nodes = [f"  - {{name: master{n}, role: master}}" for n in range(1, self.masters + 1)]
        nodes += [f"  - {{name: worker{n}, role: worker}}" for n in range(1, self.workers + 1)]
        return derive(parse("nodes:\n" + "\n".join(nodes) + "\n"))

    @property
    def scripts(self) -> dict[tuple[str, str], Script]:
        return {
            (node.name, step.name): Script(step.name, node.name, f"step {step.name}\n")
            for node in self.topology.nodes
            for step in steps_of(node)
        }

    def run(self, stage: Stage, seen: Mapping[str, Mapping[str, Any]] | None = None, **options: Any) -> list[str]:
        machines = {node.name: FakeMachine(node.name, self.journal, self.answer) for node in self.topology.nodes}
        work = Provisioner(self.topology, machines, self.scripts, Timeline(self.told))  # type: ignore[arg-type]
        return work.run(stage, seen or {}, **options)

    def seen(self, *steps: str, joined: Sequence[str] = (), traces: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
        """What machines say that have been through these steps, those in ``joined`` being members."""
        return {
            node.name: {
                "joined": node.name in joined,
                "kubeadm_traces": node.name in (*joined, *traces),
                "steps": {
                    name: script.digest
                    for (owner, name), script in self.scripts.items()
                    if owner == node.name and name in steps
                },
            }
            for node in self.topology.nodes
        }


PREPARED = ("node", "haproxy", "keepalived", "containerd", "kubernetes")
ALL = ("master1", "master2", "master3", "worker1", "worker2")


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

    def test_again_repeats_what_may_be_repeated(self) -> None:
        lab = Lab()
        done = lab.run(Stage.WORKERS, lab.seen(*PREPARED, joined=ALL), again=True)
        assert "master1 haproxy" in done
        assert not [line for line in done if line.endswith((" init", " join"))]

    def test_a_new_machine_joins_through_a_member_that_answers(self) -> None:
        lab = Lab(answer=lambda call: (1, "") if (call.machine, call.name) == ("master2", "readyz") else None)
        done = lab.run(Stage.WORKERS, lab.seen(*PREPARED, joined=("master2", "master3", "worker1", "worker2")))
        assert done == ["master1 join"]
        assert [call.machine for call in lab.journal.calls if call.name == "mint"] == ["master3"]

    def test_a_master_is_forgotten_by_etcd_before_it_joins_again(self) -> None:
        lab = Lab()
        lab.run(Stage.WORKERS, lab.seen(*PREPARED, joined=("master1", "master2", "worker1", "worker2")))
        assert lab.journal.before(("master1", "forget"), ("master3", "join"))

    def test_a_machine_that_became_a_member_meanwhile_is_not_forgotten(self) -> None:
        """Its kubeadm, left going by a killed run, came to its end after the machines were looked at."""
        lab = Lab(answer=lambda call: (0, "joined\n") if (call.machine, call.name) == ("master2", "finish") else None)
        done = lab.run(Stage.WORKERS, lab.seen(*PREPARED, joined=["master1", "worker1", "worker2"], traces=["master2"]))
        assert sorted(done) == ["master2 join", "master3 join"]
        forgets = [call for call in lab.journal.calls if call.name == "forget"]
        assert len(forgets) == 1
        assert lab.journal.before(("master2", "finish"), ("master1", "forget")), "that one is master3's"
        assert "join" not in lab.journal.steps("master2")

    def test_an_earlier_attempt_comes_to_its_end_before_etcd_forgets(self) -> None:
        lab = Lab()
        lab.run(Stage.WORKERS, lab.seen(*PREPARED, joined=["master1", "master2", "worker1", "worker2"]))
        assert lab.journal.before(("master3", "finish"), ("master1", "forget"))

    def test_a_cluster_that_lost_its_quorum_half_way_begins_again_and_says_so(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(provisioning, "API_SECONDS", 0.0)
        lab = Lab(answer=lambda call: (7, "") if call.name == "readyz" else None)
        done = lab.run(Stage.WORKERS, lab.seen(*PREPARED, joined=["master1"], traces=["master2"]))
        assert "etcd has lost its quorum: master2" in "\n".join(lab.told.lines)
        for machine in ALL:
            assert lab.journal.before((machine, "clean"), ("master1", "init"))
        for machine in ALL[1:]:
            assert lab.journal.before(("master1", "clean"), (machine, "clean")), "members first"
        assert sorted(done) == ["master1 init", "master2 join", "master3 join", "worker1 join", "worker2 join"]

    def test_members_that_do_not_answer_are_not_thrown_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(provisioning, "API_SECONDS", 0.0)
        lab = Lab(answer=lambda call: (7, "") if call.name == "readyz" else None)
        with pytest.raises(LabError, match="no apiserver answers on master1, master2, master3"):
            lab.run(Stage.WORKERS, lab.seen(*PREPARED, joined=ALL))
        assert "clean" not in {call.name for call in lab.journal.calls}


class TestFailure:
    """One machine's failure ends the run, says where, and leaves nothing going on."""

    def ill(self, machine: str, name: str) -> Answer:
        return lambda call: (1, "") if (call.machine, call.name) == (machine, name) else None

    @pytest.mark.parametrize(
        ("machine", "step"),
        [
            ("master1", "node"),
            ("master2", "keepalived"),
            ("worker1", "containerd"),
            ("master1", "init"),
            ("master3", "join"),
        ],
    )
    def test_it_names_machine_and_step(self, machine: str, step: str) -> None:
        lab = Lab(answer=self.ill(machine, step))
        with pytest.raises(CommandError) as caught:
            lab.run(Stage.WORKERS)
        assert f"on {machine}" in str(caught.value)
        assert f"step {step}" in str(caught.value)
        assert f"{step} is ill" in str(caught.value)
        assert f"./inv ssh {machine}" in caught.value.hint
        assert ("begin", machine, f"record {step}") not in lab.journal.events, "it is not through"

    def test_after_it_nothing_goes_on_in_the_background(self) -> None:
        lab = Lab(answer=self.ill("master2", "haproxy"))
        with pytest.raises(CommandError):
            lab.run(Stage.WORKERS)
        begun = [event[1:] for event in lab.journal.events if event[0] == "begin"]
        ended = [event[1:] for event in lab.journal.events if event[0] == "end"]
        assert sorted(begun) == sorted(ended)
        assert not [name for _, name in begun if name in ("init", "join", "mint")]

    def test_the_first_failure_is_the_one_that_is_told(self) -> None:
        late = threading.Event()

        def answer(call: Call) -> tuple[int, str] | None:
            if (call.machine, call.name) == ("master2", "haproxy"):
                late.set()
                return 1, ""
            if (call.machine, call.name) == ("master3", "keepalived"):
                assert late.wait(5)
                return 1, ""
            return None

        with pytest.raises(CommandError, match="on master2"):
            Lab(answer=answer).run(Stage.WORKERS)

    def test_a_virtual_ip_that_nobody_takes_stops_before_init(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(provisioning, "VIP_SECONDS", 0.0)
        lab = Lab(answer=lambda call: (0, "") if call.name == "vip" else None)
        with pytest.raises(LabError, match=r"holder of the virtual IP 10\.21\.0\.100"):
            lab.run(Stage.WORKERS)
        assert "init" not in lab.journal.steps("master1")


class TestSecrets:
    """A credential is minted for one join, travels in its script alone, and shows nowhere."""

    def test_each_join_gets_one_of_its_own_by_environment(self) -> None:
        lab = Lab()
        lab.run(Stage.WORKERS)
        texts = {call.machine: call.text for call in lab.journal.calls if call.name == "join"}
        for machine in ("master2", "master3"):
            assert (
                f"export JOIN_TOKEN={TOKEN}\nexport JOIN_CA_HASH={HASH}\nexport JOIN_CERTIFICATE_KEY={KEY}\n"
                in texts[machine]
            )
        assert "JOIN_CERTIFICATE_KEY" not in texts["worker1"], "a worker does not need the control plane's key"
        assert sum(call.name == "mint" for call in lab.journal.calls) == len(texts) == 4

    def test_none_is_told_labelled_or_recorded(self) -> None:
        lab = Lab()
        done = lab.run(Stage.WORKERS)
        shown = [
            *lab.told.lines,
            *(str(phase) for phase in lab.told.phases),
            *(call.label for call in lab.journal.calls),
            *done,
        ]
        shown += [call.text for call in lab.journal.calls if call.name != "join"]
        for secret in SECRETS:
            assert secret not in "\n".join(shown)

    @pytest.mark.parametrize("status", [0, 1])
    def test_none_is_in_the_message_of_a_mint_that_failed(self, status: int) -> None:
        lab = Lab(answer=lambda call: (status, f"{TOKEN}\n") if call.name == "mint" else None)
        with pytest.raises(LabError) as caught:
            lab.run(Stage.WORKERS)
        assert TOKEN not in str(caught.value) + repr(caught.value) + str(caught.value.__context__)

    def test_none_is_in_the_message_of_a_join_that_failed(self) -> None:
        lab = Lab(answer=lambda call: (1, "") if call.name == "join" else None)
        with pytest.raises(CommandError) as caught:
            lab.run(Stage.WORKERS)
        for secret in SECRETS:
            assert secret not in str(caught.value) + repr(caught.value)

    def test_what_a_shell_would_read_as_more_than_a_word_stays_one(self) -> None:
        lab = Lab(masters=1, workers=1, answer=lambda call: (0, "a'$(reboot) h") if call.name == "mint" else None)
        lab.run(Stage.WORKERS)
        join = next(call.text for call in lab.journal.calls if call.name == "join")
        assert join.startswith("""export JOIN_TOKEN='a'"'"'$(reboot)'\n""")
