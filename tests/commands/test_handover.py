"""ssh, enter and kubectl hand the terminal on: what is run, where, and with what in its environment."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.commands import handover
from lab.context import Lab
from lab.definition import parse
from lab.errors import LabError, UsageError
from lab.identity import Identity
from lab.plan.site import ContainerSite
from lab.providers.entered import entered
from lab.state import State
from lab.topology import derive
from lab.waiting import wait_for

PREFIX = ("nsenter", "--net=/run/netns/lab-ha")


@dataclass
class Became:
    """The program that the command became."""

    argv: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)


@pytest.fixture
def became(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Became:
    identity = Identity("ha", tmp_path)
    definition = parse("nodes: [{name: m1, role: master}, {name: w1, role: worker}]")
    provider = SimpleNamespace(name="lxc", enter=lambda: PREFIX, network_trouble=lambda: "")
    lab = Lab(
        definition,
        derive(definition, ""),
        State(identity),
        provider,
        ContainerSite(identity, payload=Path("/cache/payload")),
    )  # type: ignore[arg-type]
    lab.state.write("kubeconfig", "", 0o600)
    seen = Became()

    def execvpe(file: str, argv: list[str], env: dict[str, str]) -> None:
        assert file == argv[0]
        if file == "no-such-program":
            raise FileNotFoundError(file)
        seen.argv, seen.env = argv, env

    monkeypatch.setattr(handover, "open_lab", lambda name, definition: lab)
    monkeypatch.setattr(os, "execvpe", execvpe)
    return seen


def test_a_network_on_another_host_cannot_be_entered(became: Became, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = handover.open_lab("", "")
    monkeypatch.setattr(lab.provider, "network_trouble", lambda: "it lies on another host")
    for command in (handover.enter, handover.kubectl):
        with pytest.raises(LabError, match="it lies on another host"):
            command("", "", ["get"])
    assert became.argv == []


def test_a_network_that_is_gone_is_said_by_all_that_enter_it(became: Became, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = handover.open_lab("", "")
    monkeypatch.setattr(lab.provider, "network_trouble", lambda: "the lab's network is gone")
    for command in (handover.enter, handover.kubectl, handover.ssh):
        with pytest.raises(LabError, match="the lab's network is gone"):
            command("", "", ["m1", "ls"])
    assert became.argv == []


def test_ssh_needs_no_network_that_it_does_not_enter(became: Became, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machines of another host's libvirt are reached through that host."""
    lab = handover.open_lab("", "")
    monkeypatch.setattr(lab.provider, "enter", lambda: ())
    monkeypatch.setattr(lab.provider, "network_trouble", lambda: "it lies on another host")
    handover.ssh("", "", ["m1", "ls"])
    assert became.argv[0] == "ssh"


def test_a_command_enters_the_labs_network(became: Became) -> None:
    handover.enter("", "", ["curl", "-k", "https://10.21.0.100:16443/readyz"])
    assert became.argv == [*PREFIX, "curl", "-k", "https://10.21.0.100:16443/readyz"]


def test_without_a_command_a_shell_does(became: Became, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/zsh")
    handover.enter("", "", [])
    assert became.argv == [*PREFIX, "/bin/zsh"]


@pytest.mark.parametrize("command", [handover.enter, handover.kubectl])
def test_vagrant_and_kubectl_find_this_lab(became: Became, command: Callable[..., None], tmp_path: Path) -> None:
    command("", "", ["get", "nodes"])
    assert became.env["KUBECONFIG"] == str(tmp_path / ".lab/ha/kubeconfig")
    assert became.env["VAGRANT_CWD"] == str(tmp_path / ".lab/ha")
    assert became.env["PATH"].startswith("/cache/payload/bin:")


@pytest.mark.parametrize("command", [handover.enter, handover.kubectl])
def test_who_destroys_the_lab_is_told_of_it(became: Became, command: Callable[..., None]) -> None:
    command("", "", ["logs", "-f", "a-pod"])
    with subprocess.Popen(["sleep", "60"], env=became.env, stdin=subprocess.DEVNULL) as asleep:
        try:
            told = [f"sleep of ./inv {command.__name__} (process {asleep.pid})"]
            wait_for("its mark", lambda: entered([asleep.pid]), lambda found: found == told, seconds=5)
        finally:
            asleep.kill()


def test_before_there_is_a_cluster_kubectl_says_so(became: Became, tmp_path: Path) -> None:
    (tmp_path / ".lab/ha/kubeconfig").unlink()
    with pytest.raises(LabError, match="lab ha has no cluster yet"):
        handover.kubectl("", "", ["get", "nodes"])
    assert became.argv == []


def test_kubectls_words_are_untouched(became: Became) -> None:
    handover.kubectl("", "", ["-n", "kube-system", "get", "pods", "-o", "jsonpath={.items[*].metadata.name}"])
    assert became.argv[len(PREFIX) :] == [
        "kubectl", "-n", "kube-system", "get", "pods", "-o", "jsonpath={.items[*].metadata.name}",
    ]  # fmt: skip


def test_ssh_runs_the_words_as_roots_shell_would(became: Became) -> None:
    handover.ssh("", "", ["m1", "echo", "it's", "|", "tr", "a-z", "A-Z"])
    assert "m1" in became.argv
    sudo, n, end, *command = shlex.split(became.argv[-1])
    assert (sudo, n, end) == ("sudo", "-n", "--")
    assert command == ["sh", "-c", "echo it's | tr a-z A-Z"]


def test_one_word_with_a_whole_command_works_too(became: Became) -> None:
    handover.ssh("", "", ["m1", "echo 'a  b' | cat; exit 3"])
    local = became.argv[-1].removeprefix("sudo -n -- ")
    done = subprocess.run(["sh", "-c", local], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "a  b\n")


def test_ssh_alone_is_a_login_as_root(became: Became) -> None:
    handover.ssh("", "", ["w1"])
    assert became.argv[-2:] == ["w1", "exec sudo -i"]


@pytest.mark.parametrize("words", [[], ["m9"], ["m9", "ls"]])
def test_a_machine_that_does_not_exist_is_wrong_usage_with_the_right_names(became: Became, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        handover.ssh("", "", words)
    assert "m1, w1" in str(caught.value)
    assert became.argv == []


def test_a_program_that_is_not_there_is_said(became: Became, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LabError, match="program not found: no-such-program"):
        handover._become(["no-such-program"], {})
