"""What is done to a fresh root file system before it is a box: install scripts, Vagrant's user, what its kind wants."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent


def customize_script(scripts: Mapping[str, str], kind: Path) -> str:
    """The shell script that mmdebstrap runs on the host with the root file system as $1.

    ``scripts`` are the components' install scripts by name, ``kind`` is what only containers or only virtual machines
    need; each runs inside, as root.
    """
    inside = 'chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 bash -s'
    lines = ["#!/bin/sh", "set -eu"]
    lines += [f"echo install {name}\n{inside} << 'INSTALL'\n{text}INSTALL" for name, text in scripts.items()]
    lines += [
        f"{inside} < {_quoted(HERE / 'vagrant-user.sh')}",
        f"{inside} < {_quoted(kind)}",
        # How this host reaches its mirror is nobody's business in a machine, which downloads nothing.
        'rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap"',
    ]
    return "\n".join(lines) + "\n"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path.absolute()))
