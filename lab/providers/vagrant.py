"""Vagrant, run inside the lab's network, with everything it says handed on."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import vagrant

from lab.command import CommandError, LineSink, Result, shown


@contextlib.contextmanager
def _into_stdout() -> Iterator[int]:
    """Send standard error where standard output goes: python-vagrant would throw it away (python-vagrant#24, #61)."""
    yield subprocess.STDOUT


class LabVagrant(vagrant.Vagrant):
    """python-vagrant with a command prefix (``enter``) and with all output of ``up`` streamed."""

    def __init__(self, root: Path, enter: Sequence[str], env: Mapping[str, str]) -> None:
        # type: ignores here: python-vagrant has no types
        super().__init__(root=str(root), env={**os.environ, **env}, err_cm=_into_stdout)  # type: ignore[no-untyped-call]
        self._enter = list(enter)

    def _make_vagrant_command(self, args: Sequence[str | None]) -> list[str]:
        return [*self._enter, *super()._make_vagrant_command(args)]  # type: ignore[no-untyped-call]

    def up_all(self, nodes: Sequence[str], provider: str, sink: LineSink) -> None:
        """Create and start the named machines, side by side where the provider's plugin can; no provisioning.

        Raises CommandError with Vagrant's last lines.
        """
        args = ["up", *nodes, "--no-provision", f"--provider={provider}"]
        said: list[str] = []
        started = time.monotonic()
        try:
            lines: Any = self._stream_vagrant_command(args)  # type: ignore[no-untyped-call]
            for line in lines:
                said.append(line)
                sink(line.rstrip("\n"))
        except subprocess.CalledProcessError as error:
            result = Result(shown(["vagrant", *args]), error.returncode, "".join(said), "", time.monotonic() - started)
            raise CommandError(result, "the same command can be tried by hand: ./inv enter vagrant up") from error


def environment(state: Path, provider: str) -> dict[str, str]:
    """What Vagrant needs in its environment to find this lab and nobody else's boxes."""
    return {
        "VAGRANT_CWD": str(state),
        "VAGRANT_HOME": str(state / "vagrant"),
        "VAGRANT_DEFAULT_PROVIDER": provider,
        "VAGRANT_CHECKPOINT_DISABLE": "1",
        "VAGRANT_BOX_UPDATE_CHECK_DISABLE": "1",
    }


def ssh_defaults(key: Path) -> str:
    """What holds for every machine: made for a lab whose machines come, go and come back under the same address."""
    return f"""\
Host *
  User vagrant
  IdentityFile {key}
  IdentitiesOnly yes
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
  PasswordAuthentication no
  ConnectTimeout 5
  ServerAliveInterval 2
  ServerAliveCountMax 3
"""
