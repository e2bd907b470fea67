"""``./inv enter``, ``ssh`` and ``kubectl``: hand the terminal to another program inside the lab's network."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence

from lab.context import Lab, open_lab
from lab.errors import LabError, UsageError
from lab.providers.entered import mark
from lab.providers.vagrant import environment


def enter(name: str, definition: str, words: Sequence[str]) -> None:
    """A shell, or one command, inside the lab's network; vagrant, kubectl and curl to the VIP work there."""
    lab = open_lab(name, definition)
    _check_reach(lab)
    command = list(words) or [os.environ.get("SHELL", "/bin/sh")]
    _become([*lab.provider.enter(), *command], {**_environment(lab), **mark(lab.identity.name, "enter")})


def ssh(name: str, definition: str, words: Sequence[str]) -> None:
    """A shell, or one command, on a machine."""
    lab = open_lab(name, definition)
    if not words:
        raise UsageError("which machine?", f"./inv ssh NODE [CMD …] with one of {', '.join(lab.machines)}")
    machine = lab.machine(words[0])
    if lab.channel.enter:  # on another host's network trouble is what keeps others out: ssh goes through that host
        _check_reach(lab)
    terminal = ["-t"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    remote = " ".join(words[1:]) if len(words) > 1 else "exec sudo -i"
    if len(words) > 1:
        remote = f"sudo -n -- sh -c {shlex.quote(remote)}"
    _become([*lab.channel.ssh(machine.name, *terminal), remote], {})


def kubectl(name: str, definition: str, words: Sequence[str]) -> None:
    """kubectl with the administrator's credential, against the virtual IP."""
    lab = open_lab(name, definition)
    if not lab.state.kubeconfig.is_file():
        raise LabError(f"lab {lab.identity.name} has no cluster yet", "./inv up makes it")
    _check_reach(lab)
    env = {**_environment(lab), **mark(lab.identity.name, "kubectl")}
    _become([*lab.provider.enter(), "kubectl", *words], env)


def _check_reach(lab: Lab) -> None:
    if trouble := lab.provider.network_trouble():
        raise LabError(trouble)


def _environment(lab: Lab) -> Mapping[str, str]:
    """What makes vagrant and kubectl find this lab."""
    tools = [f"{lab.site.payload}/bin"] if lab.site.payload else []
    return {
        **environment(lab.state.folder, lab.provider.name),
        "KUBECONFIG": str(lab.state.kubeconfig),
        "PATH": os.pathsep.join([*tools, os.environ.get("PATH", os.defpath)]),
    }


def _become(argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Become the other program: its exit status, its terminal, its signals."""
    sys.stdout.flush()
    try:
        os.execvpe(argv[0], list(argv), {**os.environ, **env})
    except FileNotFoundError:
        raise LabError(f"program not found: {argv[0]}") from None
