"""Waiting for machines that boot: until each answers, with a deadline that names who did not, and interruptible.

What waiting cannot mend ends it at once.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import needs
import pytest

from lab import reach
from lab.command import CommandError, Result
from lab.errors import LabError
from lab.machine import Channel, Machine
from lab.providers.base import MachineState
from lab.reach import judged, wait_reachable


@dataclass
class Booting:
    """A machine that answers from its ``ready``-th question on."""

    name: str
    ready: int
    asked: int = field(default=0)

    def run(self, script: str, args: Sequence[str] = (), **options: Any) -> Result:
        self.asked += 1
        ok = self.asked >= self.ready
        return Result(script, 0 if ok else 255, "", "" if ok else "No route to host", 0.1, self.name)


def running() -> Mapping[str, MachineState]:
    """Nobody knows of a machine that would not run."""
    return {}


def test_it_waits_for_the_last_one() -> None:
    machines = [Booting("quick", 1), Booting("slow", 3)]
    wait_reachable(machines, running, seconds=10.0)  # type: ignore[arg-type]
    assert machines[1].asked == 3


def test_at_the_deadline_it_names_who_did_not_answer_and_why() -> None:
    with pytest.raises(LabError, match="dead runs, but does not answer over ssh after 0 s") as caught:
        wait_reachable([Booting("well", 1), Booting("dead", 99)], running, seconds=0.0)  # type: ignore[list-item]
    assert "No route to host" in caught.value.message
    assert "well:" not in caught.value.message


PROGRAM = """
import sys
from lab.command import run
from lab.reach import wait_reachable

class Silent:
    name = "silent"
    def run(self, script, **options):
        print("asked", flush=True)
        return run(["sleep", "300"])

wait_reachable([Silent()], dict)
"""


def test_an_interrupt_ends_the_waiting() -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"asked\n"
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert b"KeyboardInterrupt" in err


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of its own whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def machine(place: Path, config: str, *enter: str) -> Machine:
    """A machine that a real ssh is asked for."""
    (place / "ssh_config").write_text(config)
    return Machine("m1", Channel(enter, place / "ssh_config", place / "run" / "s"))


HERE = "Host m1\n  HostName 127.0.0.1\n  Port {port}\n  BatchMode yes\n  StrictHostKeyChecking no\n"


def told_at_once(asked: Machine, states: reach.States = running) -> LabError:
    """What it says of a machine that will never answer."""
    needs.programs("ssh")
    started = time.monotonic()
    with pytest.raises(LabError, match="m1") as caught:
        wait_reachable([asked], states, seconds=60.0)
    assert time.monotonic() - started < 20, "it waited for what will not come"
    return caught.value


@pytest.mark.parametrize(
    "config",
    [
        "Host m1\n  IdentityFile /my labs/key\n",
        'Host m1\n  IdentityFile "/my labs/key\n',
        "Host m1\n  NoSuchOption yes\n",
        "Host m1\n  ConnectTimeout soon\n",
        "Host m1\n  HostName %z\n",
    ],
)
def test_a_configuration_that_ssh_does_not_understand_ends_the_waiting(config: str, place: Path) -> None:
    said = told_at_once(machine(place, config))
    assert "waiting will not bring one" in said.message and "ssh_config" in said.hint


def test_a_configuration_that_is_gone_ends_the_waiting(place: Path) -> None:
    asked = machine(place, "")
    asked.channel.ssh_config.unlink()
    assert "Can't open user config file" in told_at_once(asked).message


def test_a_missing_ssh_ends_the_waiting(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs.programs("ssh", "sh")
    enter = ("/bin/sh", "-c", 'PATH=/no/such; exec "$@"', "enter")
    assert "status 127" in told_at_once(machine(place, "", *enter)).message
    monkeypatch.setenv("PATH", str(place))
    with pytest.raises(LabError, match="program not found: ssh") as caught:
        wait_reachable([machine(place, "")], running, seconds=60.0)
    assert "doctor" in caught.value.hint


def test_a_folder_for_sockets_that_is_somebody_elses_ends_the_waiting(place: Path) -> None:
    (place / "run").mkdir()
    (place / "run").chmod(0o777)
    assert "somebody else may write" in told_at_once(machine(place, "")).message


@pytest.mark.parametrize(
    ("status", "said", "final"),
    [
        (255, "vagrant@10.21.0.11: Permission denied (publickey).", True),
        (255, "Permission denied (publickey,password).", True),
        (255, "Host key verification failed.", True),
        (255, "ControlPath too long ('/tmp/…/7ac092d2e0299bea49c791dd4e09a855e8fe8f39' >= 108 bytes)", True),
        (1, "sudo: a password is required", True),
        (1, "sudo: unable to resolve host master1: Name or service not known", False),
        (127, "bash: line 1: sudo: command not found", True),
        (1, "nsenter: cannot open /run/netns/lab-ha-0927da: No such file or directory", True),
        (255, "ssh: connect to host 10.21.0.11 port 22: Connection refused", False),
        (255, "ssh: connect to host 10.21.0.11 port 22: No route to host", False),
        (255, "Connection timed out during banner exchange", False),
        (255, "kex_exchange_identification: Connection closed by remote host", False),
        (255, "System is booting up. Unprivileged users are not permitted to log in yet.", False),
        (124, "", False),
    ],
)
def test_only_what_will_not_change_is_final(status: int, said: str, final: bool) -> None:
    trouble = judged(CommandError(Result("first contact", status, "", said, 0.1, "m1")))
    assert trouble.final is final
    assert bool(trouble.hint) is final, "whoever is not waited for is told what to do"


def test_a_machine_that_runs_no_longer_is_not_waited_for(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "STATE_SECONDS", 0.3)
    refused = machine(place, HERE.format(port=1))
    said = told_at_once(refused, lambda: {"m1": MachineState.STOPPED})
    assert "it runs no longer (stopped)" in said.message and "Connection refused" in said.message


def test_one_that_only_refuses_connections_is_waited_for(place: Path) -> None:
    needs.programs("ssh")
    with pytest.raises(LabError, match="m1 runs, but does not answer over ssh after 1 s"):
        wait_reachable([machine(place, HERE.format(port=1))], running, seconds=1.0)


def test_beside_one_that_boots_the_hopeless_one_is_named() -> None:
    @dataclass
    class Denied(Booting):
        def run(self, script: str, args: Sequence[str] = (), **options: Any) -> Result:
            return Result(script, 255, "", "Permission denied (publickey).", 0.1, self.name)

    with pytest.raises(LabError, match="no answer over ssh") as caught:
        wait_reachable([Booting("m1", 99), Denied("m2", 99)], running, seconds=60.0)  # type: ignore[list-item]
    assert caught.value.message.startswith("m2:") and "m1" not in caught.value.message
