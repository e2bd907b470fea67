"""The lab's network namespace, with real ones of a name that no lab has."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Interface
from pathlib import Path

import needs
import pytest

from lab.command import Stream, run
from lab.errors import LabError
from lab.providers import namespace
from lab.providers.namespace import BRIDGE, NetworkNamespace
from lab.waiting import wait_for

pytestmark = needs.root

#: A number that no process has: the kernel gives none above this (proc(5), pid_max).
NOBODY = 2**22

#: An address kept for documentation (RFC 5737).
HOST = IPv4Interface("192.0.2.1/24")


@pytest.fixture
def network() -> Iterator[NetworkNamespace]:
    made = NetworkNamespace(f"test-{os.getpid()}", HOST)
    yield made
    made.remove()


def host_links() -> str:
    """The host's own links and addresses."""
    return run(["ip", "-brief", "address"]).check().stdout


def test_it_is_made_once_and_removed_once(network: NetworkNamespace) -> None:
    assert not network.exists
    assert network.ensure()
    assert network.exists
    assert not network.ensure(), "nothing is missing"
    assert network.remove()
    assert not network.exists
    assert not network.path.exists()
    assert not network.remove()


def test_the_bridge_is_in_it_and_nothing_of_it_on_the_host(network: NetworkNamespace) -> None:
    before = host_links()
    network.ensure()
    assert host_links() == before
    shown = run(["ip", "-n", network.name, "-brief", "address", "show", "dev", BRIDGE]).check().stdout
    assert str(HOST) in shown


@pytest.mark.parametrize(
    "broken",
    [
        ["link", "delete", BRIDGE],
        ["addr", "flush", "dev", BRIDGE],
    ],
)
def test_what_an_interrupted_call_left_out_is_made(network: NetworkNamespace, broken: list[str]) -> None:
    network.ensure()
    run(["ip", "-n", network.name, *broken]).check()
    assert network.ensure()
    assert not network.ensure()


def test_an_address_that_only_begins_alike_is_another(network: NetworkNamespace) -> None:
    replace(network, host=IPv4Interface("192.0.2.1/25")).ensure()
    assert replace(network, host=IPv4Interface("192.0.2.1/2")).ensure()


def test_a_file_alone_is_no_namespace(network: NetworkNamespace) -> None:
    namespace.NETNS_FOLDER.mkdir(exist_ok=True)
    network.path.touch()
    assert not network.exists
    assert network.pids() == []
    assert network.ensure()
    assert network.exists


def test_a_files_removal_counts(network: NetworkNamespace) -> None:
    namespace.NETNS_FOLDER.mkdir(exist_ok=True)
    network.path.touch()
    assert network.remove()
    assert not network.path.exists()


def test_a_command_inside_sees_the_labs_links_and_the_hosts_cgroups(network: NetworkNamespace) -> None:
    network.ensure()
    seen = run([*network.enter(), "sh", "-c", "ls /sys/class/net; ls /sys/fs/cgroup; exit 9"])
    assert seen.status == 9, "a command's status is its own"
    assert seen.stdout.split()[:2] == sorted([BRIDGE, "lo"])
    cgroups = sorted(path.name for path in Path("/sys/fs/cgroup").iterdir())
    assert sorted(seen.stdout.split()[2:]) == cgroups
    assert str(HOST.ip) in run([*network.enter(), "ip", "-o", "addr"]).check().stdout


def test_entering_leaves_the_hosts_mounts_alone(network: NetworkNamespace) -> None:
    network.ensure()
    before = Path("/proc/self/mountinfo").read_text().splitlines()
    run([*network.enter(), "true"]).check()
    after = Path("/proc/self/mountinfo").read_text().splitlines()
    assert [line.split()[4] for line in after] == [line.split()[4] for line in before]


def test_removal_ends_what_runs_inside(network: NetworkNamespace) -> None:
    network.ensure()
    inside = Stream([*network.enter(), "sleep", "300"], lambda line: None)
    wait_for("the process in the namespace", network.pids, bool, seconds=5)
    assert network.remove()
    wait_for("its end", lambda: inside.alive, lambda alive: not alive, seconds=5)
    inside.stop()


def test_a_number_that_another_process_has_by_now_ends_nobody(network: NetworkNamespace) -> None:
    """Between the listing and the signal a process may end, and its number be given to one of the host's."""
    network.ensure()
    outside = subprocess.Popen(["sleep", "300"])
    inside = subprocess.Popen([*network.enter(), "sleep", "300"])
    try:
        wait_for("the process in the namespace", lambda: sleepers(network), bool, seconds=5)
        network.end([outside.pid, NOBODY, inside.pid])
        assert inside.wait(5) == -signal.SIGKILL
        assert outside.poll() is None
    finally:
        for process in (outside, inside):
            process.kill()
            process.wait()


def test_what_people_have_entered_is_told_as_they_know_it(network: NetworkNamespace) -> None:
    network.ensure()
    assert network.entered() == []
    marked = {**os.environ, "HALAB": "ha"}
    shell = [*network.enter(), "sh", "-c", "echo ready; sleep 300; true"]
    terminal, end = pty.openpty()
    with subprocess.Popen(shell, stdin=end, stdout=subprocess.PIPE, env=marked, start_new_session=True) as person:
        other = subprocess.Popen([*network.enter(), "sleep", "300"], env={**os.environ, "HALAB": ""})
        try:
            assert person.stdout is not None
            person.stdout.readline()
            wait_for("all of them", lambda: sleepers(network), lambda found: len(found) == 2, seconds=5)
            (told,) = network.entered()
            assert told == f"sh of ./inv enter (process {person.pid}, {os.ttyname(end)})"
            network.end(network.pids())
            wait_for("the end of all", network.entered, lambda found: found == [], seconds=5)
        finally:
            person.kill()
            other.kill()
            other.wait()
            os.close(terminal)
            os.close(end)


def sleepers(network: NetworkNamespace) -> list[int]:
    """The processes in the namespace that have become ``sleep``."""

    def name(pid: int) -> str:
        try:
            return Path(f"/proc/{pid}/comm").read_text().strip()
        except FileNotFoundError:
            return "(ended)"

    return [pid for pid in network.pids() if name(pid) == "sleep"]


def test_a_command_inside_does_not_pull_the_ground_from_under_itself(
    network: NetworkNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.ensure()
    inside = Stream([*network.enter(), "sleep", "300"], lambda line: None)
    # Until the way in has been gone, its own short-lived helpers are in the namespace too.
    (pid,) = wait_for("the process in the namespace", lambda: sleepers(network), bool, seconds=5)
    monkeypatch.setattr(os, "getpid", lambda: pid)
    with pytest.raises(LabError, match="inside the lab's network"):
        network.remove()
    assert inside.alive, "and nothing else was ended either"
    assert network.exists
    monkeypatch.undo()
    inside.stop()


def test_without_the_right_it_says_so(
    network: NetworkNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ip").write_text("#!/bin/sh\necho 'Operation not permitted' >&2\nexit 1\n")
    (tmp_path / "ip").chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        with pytest.raises(LabError, match="Operation not permitted") as caught:
            network.ensure()
    assert "needs root" in caught.value.hint
