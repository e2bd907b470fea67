"""A machine on which a step fails."""

from __future__ import annotations

import threading

import pytest
from remembering import Answer, Call, Lab

from lab.command import CommandError
from lab.errors import LabError
from lab.provisioning import order
from lab.stage import Stage


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
        monkeypatch.setattr(order, "VIP_SECONDS", 0.0)
        lab = Lab(answer=lambda call: (0, "") if call.name == "vip" else None)
        with pytest.raises(LabError, match=r"holder of the virtual IP 10\.21\.0\.100"):
            lab.run(Stage.WORKERS)
        assert "init" not in lab.journal.steps("master1")
