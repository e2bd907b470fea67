"""One machine of the lab, as something on which commands run (over ssh, whatever the provider is)."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.command import LineSink, Result, Stream, run
from lab.contained import contained
from lab.errors import LabError
from lab.quoting import ssh_config


@dataclass(frozen=True)
class Channel:
    """How to reach the machines: ``enter`` puts a command into the lab's network, ``ssh_config`` is Vagrant's own.

    ``enter`` is a command prefix ([] where the host itself is in the lab's network). ``control_dir`` holds ssh's shared
    connections, so that only the first command on a machine pays for a handshake.
    """

    enter: tuple[str, ...]
    ssh_config: Path
    control_dir: Path

    def ssh(self, machine: str, *options: str) -> list[str]:
        """The ssh command line up to and including the machine's name; ``options`` win over what is usual here.

        Makes the folder of shared connections, which a restart of the host takes away. Raises LabError when it is not
        this user's own.
        """
        self._own_control_dir()
        return [
            *self.enter,
            "ssh",
            "-F",
            str(self.ssh_config),
            *options,  # first: of several values ssh takes the first (ssh_config(5))
            "-o",
            "ControlMaster=auto",
            "-o",
            self._control_path,
            "-o",
            "ControlPersist=60",
            machine,
        ]

    @property
    def _control_path(self) -> str:
        """A socket for each connection: ssh puts a hash of where it leads in the place of %C."""
        return f"ControlPath={ssh_config(str(self.control_dir))}/%C"

    def _own_control_dir(self) -> None:
        """Whoever can write there could hand us a connection to a machine of theirs."""
        folder = self.control_dir
        try:
            for path in (folder.parent, folder):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            strange = [path for path in (folder.parent, folder) if not _private(path)]
        except OSError as error:
            hint = "ssh needs a folder of its own there"
            raise LabError(f"no folder for ssh's shared connections: {error}", hint) from error
        if strange:
            raise LabError(
                f"somebody else may write in {strange[0]}: no place for ssh's shared connections",
                "remove it, or set XDG_RUNTIME_DIR to a folder of your own",
            )

    def forget(self, machine: str) -> None:
        """Close the shared connection to a machine that is gone or about to go: the next command opens a new one.

        There is none to close when no command ran there yet, which is no error.
        """
        run(
            [
                *self.enter,
                "ssh",
                "-F",
                str(self.ssh_config),
                "-O",
                "exit",
                "-o",
                self._control_path,
                machine,
            ],
            timeout=10.0,
        )


@dataclass(frozen=True)
class Machine:
    """A machine by its name in the definition. All commands run as root there."""

    name: str
    channel: Channel

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
        """Run a bash script (its text travels over stdin, so no quoting is lost and no secret shows in a process list).

        ``args`` become $1, $2, …; ``timeout`` is in seconds; no message shows what a ``secret`` script prints. The
        status is not judged: call ``.check()``.
        """
        remote = shlex.join(["sudo", "-n", "bash", "-s", "--", *args])
        return run(
            [*self.channel.ssh(self.name), remote],
            stdin=whole(script),
            timeout=timeout,
            sink=sink,
            machine=self.name,
            label=label if label is not None else _first_line(script),
            secret=secret,
        )

    def stream(self, argv: Sequence[str], sink: LineSink, *, stdin: str | None = None) -> Stream:
        """Start a command that goes on until stopped and hands over each line it prints (a probe).

        It gets a connection of its own, so that ending it cannot disturb other commands on the machine. Should this
        program be killed, the connection ends too, and by that the command.
        """
        remote = shlex.join(["sudo", "-n", *argv])
        return Stream(
            contained([*self.channel.ssh(self.name, "-o", "ControlPath=none"), remote], privileged=False),
            sink,
            label=f"{shlex.join(argv)} (on {self.name})",
            stdin=stdin,
        )


def _private(folder: Path) -> bool:
    """Is this user the only one who may write there?"""
    status = folder.stat()
    return status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o022


def whole(script: str) -> str:
    """The script as one function and its call: bash then reads all of it before any of it runs.

    Without that a program of the script that reads its standard input would eat the rest of the script.
    """
    return f'halab_script() {{\n{script}\n}}\nhalab_script "$@" < /dev/null\n'


def _first_line(script: str) -> str:
    """The first line of a script that is no comment and no blank, to name it in messages."""
    lines = [line.strip() for line in script.splitlines()]
    telling = [line for line in lines if line and not line.startswith("#") and not line.startswith("set -")]
    return telling[0] if telling else "(empty script)"
