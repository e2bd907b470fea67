"""A Debian root file system, made by mmdebstrap from the machine's own configured sources."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from lab.command import LineSink, run
from lab.contained import contained
from lab.debian.apt import ACQUIRE, own_acquire_options
from lab.debian.sources import CODENAME, Source, configured, stanzas
from lab.errors import LabError

#: Seconds: 40–60 on an idle machine with a near mirror (measured).
TIMEOUT = 1800.0

#: No documentation in machines that nobody logs in to for long.
EXCLUDED = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/lintian/*")


def mmdebstrap(
    target: Path,
    packages: Sequence[str],
    sink: LineSink,
    *,
    variant: str = "minbase",
    script: Path | None = None,
    sources: Iterable[Source] | None = None,
) -> None:
    """Make ``target`` a root file system with ``packages``; ``script`` is run on the host with it as $1 at the end.

    A package may be one of apt's patterns ("?essential"; apt-patterns(7)). ``variant`` is mmdebstrap's own word:
    "extract" unpacks the packages and configures none.

    Raises AptError without a configured source, CommandError with what apt said when the mirror fails half-way.
    """
    if shutil.which("mmdebstrap") is None:
        raise LabError("mmdebstrap is not installed", "run ./inv doctor")
    if os.geteuid() != 0:
        raise LabError("unpacking Debian packages with their owners needs root", "run the command as root")
    listed = target.parent / f"{target.name}.sources"
    listed.write_text(stanzas(configured() if sources is None else sources, "deb"))
    argv = ["mmdebstrap", "--mode=root", "--format=directory", f"--variant={variant}"]
    argv += [*(f"--include={package}" for package in packages), "--dpkgopt=force-unsafe-io"]
    argv += [f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED]
    argv += [f"--aptopt={line}" for line in [*_acquire(), 'Acquire::Languages "none"']]
    if script is not None:
        hook = "extract" if variant == "extract" else "customize"  # that variant ends after the first
        # A command and not a path: mmdebstrap would give that to env(1), which takes one with a = for a variable.
        argv.append(f'--{hook}-hook={shlex.quote(str(script))} "$1"')
    argv += [CODENAME, str(target), str(listed)]
    # The file with the sources lies beside the target, and so must mmdebstrap's own temporary files: /tmp may be small.
    result = run(contained(argv), env={"TMPDIR": str(target.parent)}, timeout=TIMEOUT, sink=sink, label="mmdebstrap")
    result.check(f"is the Debian mirror reachable and complete? (apt-get update; it must carry {CODENAME})")
    listed.unlink()


def _acquire() -> list[str]:
    return [*own_acquire_options(), *(f'{name} "{value}";' for name, value in ACQUIRE.items())]


_FIELD = re.compile(r"^(Package|Status|Version): (.*)$", re.MULTILINE)


def installed(rootfs: Path) -> dict[str, str]:
    """The packages in a root file system and their versions, as dpkg recorded them."""
    versions = {}
    for stanza in (rootfs / "var/lib/dpkg/status").read_text().split("\n\n"):
        fields = dict(_FIELD.findall(stanza))
        if "Package" in fields and fields.get("Status", "").endswith(" installed"):
            versions[fields["Package"]] = fields["Version"]
    return dict(sorted(versions.items()))
