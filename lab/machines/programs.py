"""The programs that run on machines: sent over ssh, so that nothing needs to be installed there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from lab.command import LineSink, Result
from lab.machine import Machine

FOLDER = Path(__file__).resolve().parents[2] / "provision" / "probe"

#: Where the administrator's credential lies on every master; the programs read it there and nothing takes it away.
KUBECONFIG = "/etc/kubernetes/admin.conf"

#: How a program takes what it has in common with others: ``from stats import servers``.
PART = re.compile(r"^from (?P<part>stats) import .*$", re.MULTILINE)

#: Ends the program's text in the shell's input; no program contains such a line.
END = "END-OF-PROGRAM"


def text(name: str) -> str:
    """A program's text, with the parts that it imports in the places of their imports: it is sent as one."""
    return PART.sub(lambda found: _read(found["part"]), _read(name))


def _read(name: str) -> str:
    return (FOLDER / f"{name}.py").read_text(encoding="utf-8")


def run(
    machine: Machine, name: str, args: Sequence[object], sink: LineSink | None = None, *, timeout: float = 60.0
) -> Result:
    """Run a program to its end on a machine; each line it prints is handed over as it comes."""
    words = shlex.join(str(arg) for arg in args)
    script = f"exec python3 -u - {words} <<'{END}'\n{text(name)}{END}\n"
    return machine.run(script, label=f"{name}.py {words}", timeout=timeout, sink=sink)
