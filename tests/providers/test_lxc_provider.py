"""The provider of containers against LXC's real tools: a container of one process in a folder of its own, no box."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Interface
from pathlib import Path

import needs
import pytest

from lab import quoting
from lab.command import CommandError, Note, run
from lab.identity import Identity
from lab.providers.base import MachineState
from lab.providers.lxc import LxcProvider
from lab.providers.namespace import NetworkNamespace
from lab.providers.vagrant import LabVagrant
from lab.usage import mounted_by
from lab.waiting import wait_for

pytestmark = needs.root

#: The host's own programs, read-only, and one process that sleeps.
CONFIG = """\
lxc.uts.name = {name}
lxc.rootfs.path = dir:{rootfs}
lxc.mount.entry = /usr usr none ro,bind 0 0
lxc.mount.auto = proc:mixed
lxc.net.0.type = veth
lxc.net.0.link = br0
lxc.net.0.flags = up
lxc.init.cmd = /usr/bin/sleep 300
"""


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[LxcProvider]:
    identity = Identity("ptest", tmp_path)
    network = NetworkNamespace(identity.namespace, IPv4Interface("192.0.2.1/24"))
    (tmp_path / "lxc").mkdir()
    made = LxcProvider(identity, network, {"m1": "192.0.2.11", "m2": "192.0.2.12"}, lxc_path=tmp_path / "lxc")
    yield made
    made.remove_all(lambda line: None)


def place(provider: LxcProvider, node: str) -> Path:
    """A container as Vagrant would leave it, and Vagrant's note of it."""
    name = provider.identity.machine(node)
    folder = provider.lxc_path / name
    rootfs = folder / "rootfs"
    for part in ("usr", "proc", "dev", "sys", "tmp"):
        (rootfs / part).mkdir(parents=True)
    for link in ("bin", "sbin", "lib", "lib64"):
        (rootfs / link).symlink_to(f"usr/{link}")
    (folder / "config").write_text(CONFIG.format(name=name, rootfs=rootfs))
    note = note_of(provider, node)
    note.parent.mkdir(parents=True)
    note.write_text(name)
    return folder


def note_of(provider: LxcProvider, node: str) -> Path:
    """Where Vagrant keeps the container's name (Vagrant::Machine, vagrant/machine.rb)."""
    return provider.identity.state / ".vagrant" / "machines" / node / "lxc" / "id"


def await_state(provider: LxcProvider, node: str, state: MachineState) -> None:
    wait_for(f"{node} {state}", lambda: provider.states()[node], lambda seen: seen is state, seconds=10)


def test_a_machine_lives_from_a_cache_with_any_name(provider: LxcProvider, tmp_path: Path) -> None:
    """What the box's template, the box's configuration and the Vagrantfile say to LXC, with LXC's own ears."""
    cache = tmp_path / """mein 'Cäche' $HOME `id` #{1} * 100% ;&<c>|()! @@=~"""
    (cache / "payload").mkdir(parents=True)
    (cache / "payload" / "kubeadm").touch()
    (cache / "authorized_keys").write_text("ssh-rsa AAAA\n")
    hook = cache / "lxc-seed"
    hook.write_text(f'#!/bin/sh\nprintf %s "$1" > {tmp_path}/given\n')
    hook.chmod(0o755)
    provider.prepare(lambda line: None)
    folder = place(provider, "m1")
    shutil.move(folder / "rootfs", cache / "rootfs")
    (folder / "delta").mkdir()
    config = folder / "config"
    told = config.read_text().replace(f"dir:{folder}/rootfs", f"overlay:{cache}/rootfs:{folder}/delta")
    told += f"lxc.mount.entry = {quoting.fstab(str(cache / 'payload'))} opt/payload none ro,bind,create=dir 0 0\n"
    keys = "home/vagrant/.ssh/authorized_keys"
    told += f"lxc.mount.entry = {quoting.fstab(str(cache / 'authorized_keys'))} {keys} none ro,bind,create=file 0 0\n"
    config.write_text(f"{told}lxc.hook.pre-start={quoting.shell([str(hook), str(cache / 'seed')])}\n")
    provider.start("m1")
    await_state(provider, "m1", MachineState.RUNNING)
    assert (tmp_path / "given").read_text() == str(cache / "seed")
    pid = provider._lxc("info", "--name", provider.identity.machine("m1"), "--pid", "--no-humanize").check().stdout
    root = Path(f"/proc/{pid.strip()}/root")
    assert (root / "opt/payload/kubeadm").exists()
    assert (root / keys).read_text() == "ssh-rsa AAAA\n"
    assert run(["nsenter", "--target", pid.strip(), "--mount", "sh", "-c", f"echo x >> /{keys}"]).status != 0
    assert mounted_by(cache / "payload"), "and whoever would build it anew is told"


def test_a_start_that_fails_says_what_lxc_knows(provider: LxcProvider) -> None:
    """lxc-start itself says no more than that the container failed to start."""
    provider.prepare(lambda line: None)
    for node, broken in (
        ("m1", "lxc.hook.pre-start = /bin/false"),
        ("m2", "lxc.mount.entry = /no/such tmp none bind 0 0"),
    ):
        folder = place(provider, node)
        with (folder / "config").open("a") as config:
            config.write(f"lxc.log.file = {folder}/log\nlxc.log.level = ERROR\n{broken}\n")
    with pytest.raises(CommandError, match=r"why: .*-m1: Script exited with status 1"):
        provider.start("m1")
    with pytest.raises(CommandError, match=r'why: .*-m2: .*No such file or directory - Failed to mount "/no/such"'):
        provider.start("m2")


def test_a_machines_life(provider: LxcProvider) -> None:
    provider.prepare(lambda line: None)
    place(provider, "m1")
    assert provider.states() == {"m1": MachineState.STOPPED, "m2": MachineState.ABSENT}
    provider.start("m1")
    await_state(provider, "m1", MachineState.RUNNING)
    provider.pause("m1")
    await_state(provider, "m1", MachineState.PAUSED)
    provider.unpause("m1")
    await_state(provider, "m1", MachineState.RUNNING)
    provider.cut("m1")
    await_state(provider, "m1", MachineState.STOPPED)


def test_what_runs_may_be_started_and_woken_again(provider: LxcProvider) -> None:
    """A fault that a killed run left open is healed on a machine that may be well by then."""
    provider.prepare(lambda line: None)
    place(provider, "m1")
    provider.start("m1")
    await_state(provider, "m1", MachineState.RUNNING)
    provider.start("m1")
    provider.unpause("m1")
    assert provider.states()["m1"] is MachineState.RUNNING


def test_up_lets_a_frozen_machine_go_on_and_leaves_vagrant_out_of_it(
    provider: LxcProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed verification, or a person, froze it: Vagrant would wait for its ssh until its time is up."""
    asked: list[Sequence[str]] = []
    monkeypatch.setattr(LabVagrant, "up_all", lambda _vagrant, nodes, *_: asked.append(nodes))
    provider.prepare(lambda line: None)
    place(provider, "m1")
    provider.start("m1")
    await_state(provider, "m1", MachineState.RUNNING)
    provider.pause("m1")
    await_state(provider, "m1", MachineState.PAUSED)
    provider.up(["m1"], lambda line: None)
    await_state(provider, "m1", MachineState.RUNNING)
    assert asked == []
    provider.pause("m1")
    provider.up(["m1", "m2"], lambda line: None)
    await_state(provider, "m1", MachineState.RUNNING)
    assert asked == [["m2"]], "what is missing is still Vagrant's to make"


def test_its_link_hangs_on_the_labs_bridge_and_not_on_the_host(provider: LxcProvider) -> None:
    before = run(["ip", "-brief", "link"]).check().stdout
    provider.prepare(lambda line: None)
    place(provider, "m1")
    provider.start("m1")
    await_state(provider, "m1", MachineState.RUNNING)
    hanging = run(["ip", "-n", provider.network.name, "-o", "link", "show", "master", "br0"]).check().stdout
    assert "veth" in hanging
    assert run(["ip", "-brief", "link"]).check().stdout == before


def test_removal_takes_running_stopped_and_half_made_ones_and_the_network(provider: LxcProvider) -> None:
    provider.prepare(lambda line: None)
    place(provider, "m1")
    place(provider, "m2")
    provider.start("m1")
    await_state(provider, "m1", MachineState.RUNNING)
    half_made = provider.lxc_path / provider.identity.machine("of-an-earlier-definition")
    half_made.mkdir()
    told: list[str] = []
    removed = provider.remove_all(told.append)
    assert len(removed) == 4
    assert told == [f"removed {line}" for line in removed]
    assert list(provider.lxc_path.iterdir()) == []
    assert not provider.network.exists
    assert provider.remove_all(told.append) == []


def test_what_a_killed_up_left_at_work_is_ended_before_anything_is_removed(provider: LxcProvider) -> None:
    provider.prepare(lambda line: None)
    place(provider, "m1")
    provider.start("m1")
    await_state(provider, "m1", MachineState.RUNNING)
    late = provider.lxc_path / provider.identity.machine("m2")
    making = f"while :; do mkdir -p {late}; : > {late}/$RANDOM; done"
    argv = ["ip", "netns", "exec", provider.network.name, "bash", "-c", making]
    stray = subprocess.Popen(argv, start_new_session=True)
    try:
        wait_for("its first work", late.exists, bool, seconds=5)
        provider.remove_all(lambda line: None)
        assert stray.wait(5) == -signal.SIGKILL
        assert list(provider.lxc_path.iterdir()) == []
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(stray.pid, signal.SIGKILL)


def test_who_is_in_the_labs_network_is_told_before_it_is_gone(provider: LxcProvider) -> None:
    provider.prepare(lambda line: None)
    argv = [*provider.enter(), "sleep", "300"]
    person = subprocess.Popen(argv, env={**os.environ, "HALAB": "ptest"}, start_new_session=True)
    try:
        inside = [f"sleep of ./inv enter (process {person.pid})"]
        wait_for("it to be inside", provider.network.entered, lambda found: found == inside, seconds=5)
        told: list[str] = []
        removed = provider.remove_all(told.append)
        assert person.wait(5) == -signal.SIGKILL
        assert told == [f"ended {inside[0]}", *(f"removed {line}" for line in removed)]
    finally:
        person.kill()
        person.wait()


def test_a_paused_machine_is_removed_too(provider: LxcProvider) -> None:
    provider.prepare(lambda line: None)
    place(provider, "m1")
    provider.start("m1")
    await_state(provider, "m1", MachineState.RUNNING)
    provider.pause("m1")
    assert len(provider.remove_all(lambda line: None)) == 2


def test_what_belongs_to_another_lab_is_not_seen(provider: LxcProvider) -> None:
    other = provider.lxc_path / Identity("ptest", Path("/another/clone")).machine("m1")
    other.mkdir()
    assert provider.remove_all(lambda line: None) == []
    assert other.is_dir()


def test_after_a_restart_of_the_host_its_machines_are_stopped_not_absent(provider: LxcProvider) -> None:
    place(provider, "m1")
    assert not provider.network.exists
    assert provider.states() == {"m1": MachineState.STOPPED, "m2": MachineState.ABSENT}
    assert "./inv resume" in provider.network_trouble()
    provider.prepare(lambda line: None)
    assert provider.network_trouble() == ""


@pytest.mark.parametrize("half_made", ["no config", "partial"])
def test_a_half_made_container_goes_before_vagrant_makes_it_anew(provider: LxcProvider, half_made: str) -> None:
    provider.prepare(lambda line: None)
    folder = place(provider, "m1")
    whole = place(provider, "m2")
    note = note_of(provider, "m1")
    if half_made == "partial":
        (folder / "partial").touch()
    else:
        (folder / "config").unlink()
    told: list[str] = []
    for node in ("m1", "m2"):
        provider._adopt(node, told.append)
    assert not folder.exists()
    assert not note.exists()
    assert whole.is_dir()
    assert told == ["m1: removing the half-made container of an interrupted run"]
    assert isinstance(told[0], Note), "what was mended is shown for good"


def test_one_that_does_not_run_cannot_be_cut(provider: LxcProvider) -> None:
    provider.prepare(lambda line: None)
    place(provider, "m1")
    with pytest.raises(CommandError, match="lxc-stop"):
        provider.cut("m1")


def test_the_ssh_configuration_is_one_that_ssh_reads(provider: LxcProvider, tmp_path: Path) -> None:
    file = tmp_path / "ssh_config"
    file.write_text(provider.ssh_config())
    read = run(["ssh", "-G", "-F", str(file), "m2"]).check().stdout.splitlines()
    assert "hostname 192.0.2.12" in read
    assert "user vagrant" in read
    assert "stricthostkeychecking false" in read
    assert "connecttimeout 5" in read
