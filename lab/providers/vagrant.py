"""Vagrant, run inside the lab's network, with everything it says handed on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import vagrant

from lab.command import LineSink, run, shown
from lab.patience import patience
from lab.quoting import ssh_config

#: What Ruby loads before Vagrant (see the files), and the folder in which it is found.
RUBY_FOLDER, RUBY_FILES = Path(__file__).with_name("ruby"), ("file_exists", "lxc_error")

#: Seconds for ``vagrant up`` of all machines; emulated ones need about two minutes (measured), a first start more.
UP_SECONDS = 1200.0


class LabVagrant(vagrant.Vagrant):
    """python-vagrant with a command prefix (``enter``), and with an ``up`` that hands on all that Vagrant says.

    python-vagrant's own loses standard error (python-vagrant#24, #61) and leaves Vagrant running on an interrupt.
    """

    def __init__(self, root: Path, enter: Sequence[str], env: Mapping[str, str]) -> None:
        # python-vagrant is untyped, hence the ignores below
        super().__init__(root=str(root), env={**os.environ, **env})  # type: ignore[no-untyped-call]
        self._enter = list(enter)

    def _make_vagrant_command(self, args: Sequence[str | None]) -> list[str]:
        return [*self._enter, *super()._make_vagrant_command(args)]  # type: ignore[no-untyped-call]

    def up_all(self, nodes: Sequence[str], provider: str, sink: LineSink) -> None:
        """Create and start the named machines, side by side where the provider's plugin can; no provisioning.

        Raises CommandError with Vagrant's last lines, and CommandTimeout.
        """
        args = ["up", *nodes, "--no-provision", f"--provider={provider}"]
        run(
            self._make_vagrant_command(args),
            cwd=Path(self.root),
            env=self.env,
            timeout=UP_SECONDS,
            sink=sink,
            label=shown(["vagrant", *args]),
        ).check("the same command can be tried by hand: ./inv enter vagrant up")


def environment(state: Path, provider: str, outer: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What Vagrant needs in its environment to find this lab and nobody else's boxes, and to run on any Ruby.

    Ruby's own variables are added to: RUBYOPT is split at spaces, RUBYLIB at colons.
    """
    return {
        "RUBYLIB": os.pathsep.join(filter(None, (str(RUBY_FOLDER), outer.get("RUBYLIB")))),
        "RUBYOPT": " ".join(filter(None, (outer.get("RUBYOPT"), *(f"-r{file}" for file in RUBY_FILES)))),
        "VAGRANT_CWD": str(state),
        "VAGRANT_HOME": str(state / "vagrant"),
        "VAGRANT_DEFAULT_PROVIDER": provider,
        "VAGRANT_CHECKPOINT_DISABLE": "1",
        "VAGRANT_BOX_UPDATE_CHECK_DISABLE": "1",
        **characters(outer),
    }


def characters(outer: Mapping[str, str]) -> dict[str, str]:
    """What makes Ruby read paths as UTF-8 where the language that is set knows ASCII only (locale(7)'s order)."""
    named = next(filter(None, (outer.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))), "C")
    return {} if "utf" in named.lower() else {"LC_ALL": "C.UTF-8"}


#: The private half of the key that every Vagrant has, where this lab's Vagrant puts it below the lab's folder.
WELL_KNOWN_KEY = Path("vagrant/insecure_private_key")


def ssh_defaults(*keys: Path) -> str:
    """What holds for every machine: made for a lab whose machines come, go and come back under the same address."""
    factor = patience()
    identities = "\n".join(f"  IdentityFile {ssh_config(str(key))}" for key in keys)
    return f"""\
Host *
  User vagrant
{identities}
  IdentitiesOnly yes
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
  PasswordAuthentication no
  ConnectTimeout {round(5 * factor)}
  ServerAliveInterval 2
  ServerAliveCountMax {round(3 * factor)}
"""
