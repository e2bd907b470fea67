"""How this machine reaches its package registries, to be handed to another root file system on it.

All of it is read from the machine's own configuration and environment; no mirror, index or proxy is named here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from lab.debian.apt import own_acquire_options
from lab.debian.sources import Source, configured, stanzas

#: Variables that say by what way, and trusting whom, programs reach the network: proxies, certificates, pip's settings.
TELLING = re.compile(r"(?i)^((https?|ftp|all|no)_proxy|pip_.*|.*(_|^)(cert|certs|ca_?bundle|ca_?info)(_.*)?)$")

#: Certificates that an administrator has added (update-ca-certificates(8)).
AUTHORITIES = Path("/usr/local/share/ca-certificates")

#: Where pip is configured for everybody and for a user (pip's own documentation, "Configuration").
PIP = (Path("/etc/pip.conf"), Path("~/.config/pip/pip.conf"), Path("~/.pip/pip.conf"))

#: How names are found.
NAMES = (Path("/etc/resolv.conf"), Path("/etc/hosts"))


def sources_of(suite: str, own: Iterable[Source] | None = None) -> str:
    """The text of a *.sources file: this machine's own mirrors, with another release (such as trixie) of Debian."""
    found = configured() if own is None else own
    return stanzas([Source({**one.fields, "suites": _suites(one.fields["suites"], suite)}) for one in found], "deb")


def _suites(names: str, suite: str) -> str:
    """`bookworm bookworm-updates` as `trixie trixie-updates`."""
    return " ".join(re.sub(r"^[a-z]+", suite, name) for name in names.split())


def apt_options() -> list[str]:
    """This machine's own ways to its mirrors, as lines of an apt.conf."""
    return own_acquire_options()


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of an environment that programs need to reach the network from here."""
    return {name: value for name, value in environment.items() if TELLING.match(name)}


def hand_over(root: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Give a root file system what this machine has: names, authorities, pip's settings, files that variables name.

    The root must have the package ca-certificates.
    """
    for path in NAMES:
        _copy(path, root)
    for path in PIP:
        _copy(path.expanduser(), root)
    for path in sorted(AUTHORITIES.glob("**/*.crt")):
        _copy(path, root)
    subprocess.run(["chroot", root, "update-ca-certificates"], check=True, capture_output=True)
    for value in variables(environment).values():
        if value.startswith("/") and Path(value).is_file():
            _copy(Path(value), root)


def _copy(path: Path, root: Path) -> None:
    """The same file at the same place, where this machine has it and the root has none of its own."""
    target = root / path.relative_to("/")
    if path.is_file() and (not target.exists() or path in NAMES):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
