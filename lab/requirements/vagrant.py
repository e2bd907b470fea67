"""Vagrant, and the plugin of the provider."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from lab.command import run
from lab.requirements.finding import Finding, Grade
from lab.requirements.scope import Scope

#: Where distributions' packages of plugins tell Vagrant of themselves (Debian and Ubuntu; Fedora).
PLUGINS = (Path("/usr/share/vagrant-plugins/plugins.d"), Path("/usr/share/vagrant/plugins.d"))

#: Seconds for Vagrant to list its plugins (one to two, measured).
LISTING_SECONDS = 60.0


def vagrant(scope: Scope) -> Finding:
    """Both, as the lab's own calls will find them (a plugin's name follows Vagrant's convention)."""
    plugin = f"vagrant-{scope.site.provider}"
    if shutil.which("vagrant") is None:
        return _missing("not installed", plugin)
    if any((folder / f"{plugin}.json").is_file() for folder in PLUGINS):
        return Finding("Vagrant", f"with the system's {plugin}", Grade.GOOD)
    home = scope.site.identity.state / "vagrant"
    with tempfile.TemporaryDirectory() as empty:
        # Vagrant makes its home where there is none: what is only looked at is left as it was.
        env = {"VAGRANT_HOME": str(home if home.is_dir() else empty), "VAGRANT_CWD": empty}
        listed = run(["vagrant", "plugin", "list"], env=env, timeout=LISTING_SECONDS)
    found = next((line for line in listed.stdout.splitlines() if line.startswith(f"{plugin} ")), "")
    return Finding("Vagrant", found, Grade.GOOD) if found else _missing(f"without {plugin}", plugin)


def _missing(seen: str, plugin: str) -> Finding:
    """inv installs it with apt before anything else; where there is no apt nobody does."""
    if shutil.which("apt-get"):
        return Finding("Vagrant", seen, Grade.NOTE, "./inv up installs it")
    hint = f"install vagrant and {plugin} with this machine's own package manager"
    return Finding("Vagrant", seen, Grade.BAD, hint)
