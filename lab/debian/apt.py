"""Debian packages by apt's ordinary client and the machine's own configured sources, in a private configuration.

Of the machine's package state its sources, its keys and its ways to reach its mirrors are read, and nothing is changed.
No mirror is named here: a machine without a usable source is told so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from lab.command import LineSink, Result, run
from lab.contained import contained
from lab.debian.sources import AptError, Source, stanzas

#: Seconds for one call of apt that downloads: a mirror that stops half-way ends by Acquire's own timeout long before.
TIMEOUT = 900.0

#: A mirror that stops half-way is given up after 3 × 20 s instead of apt's two minutes a try (apt.conf(5)).
ACQUIRE = {"Acquire::Retries": "2", "Acquire::http::Timeout": "20", "Acquire::https::Timeout": "20"}


#: Whole sections of Acquire that are no way to reach a mirror: index targets are about this machine's other programs,
#: and what is told to the program that judges signatures (gpgv; sqv from apt 3 on) loosens it.
_SECTIONS = "IndexTargets|Languages|GzipIndexes|CompressionTypes|Changelogs|gpgv|sqv"
_NESTED = re.compile(rf'Acquire::(?!(?:{_SECTIONS})::)[^"]*::[^"]* "[^"]+";', re.IGNORECASE)

#: Those outside a section. The date until which a release file is valid may be left unasked, as a snapshot of the
#: archive needs it: what Debian signed once is taken, however old, and nothing else.
_FLAT = re.compile(r'Acquire::(Check-Valid-Until|Retries|ForceIPv[46]|By-Hash) "[^"]+";', re.IGNORECASE)


def acquire_options(dump: str) -> list[str]:
    """The machine's own ways to reach its mirrors (proxy, TLS, age) out of ``apt-config dump``, as `Key "value";`.

    Left out are hooks and whatever lets archives pass that nobody has signed. (TLS is a way: who is on it can keep
    packages back, and forge none.)
    """
    return [line for line in dump.splitlines() if _NESTED.fullmatch(line) or _FLAT.fullmatch(line)]


def own_acquire_options() -> list[str]:
    """Those of this machine."""
    return acquire_options(run(["apt-config", "dump"]).check().stdout)


#: apt takes nothing here that nobody has signed, whatever the machine lets it take elsewhere (apt-secure(8)).
SIGNED_ONLY = {
    "Acquire::AllowInsecureRepositories": "false",
    "Acquire::AllowWeakRepositories": "false",
    "Acquire::AllowDowngradeToInsecureRepositories": "false",
    "APT::Get::AllowUnauthenticated": "false",
}

#: What helps when a download failed.
HINT = "the mirror did not give the whole package; try again, or use another mirror"


class Client:
    """apt-get and apt-cache with lists, cache and sources of their own below ``folder``."""

    def __init__(self, folder: Path, sources: Iterable[Source], kind: str, sink: LineSink) -> None:
        self.folder = folder
        self._sink = sink
        for name in ("lists/partial", "cache/archives/partial", "sources", "empty"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "sources/lab.sources").write_text(stanzas(sources, kind))
        (folder / "status").touch()
        settings = {
            # apt reads the machine's own files after this one, and the last word counts (apt.conf(5)): it reads none.
            "Dir::Etc::Main": "/dev/null",
            "Dir::Etc::Parts": str(folder / "empty"),
            "Dir::Etc::SourceList": "/dev/null",
            "Dir::Etc::SourceParts": str(folder / "sources"),
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": str(folder / "empty"),
            "Dir::State::Lists": str(folder / "lists"),
            "Dir::State::Status": str(folder / "status"),
            "Dir::Cache": str(folder / "cache"),
            "APT::Sandbox::User": "root",  # apt's own user may not enter the cache's folder
            "Acquire::Languages": "none",
            **ACQUIRE,
            **SIGNED_ONLY,
        }
        lines = [*own_acquire_options(), *(f'{name} "{value}";' for name, value in settings.items())]
        (folder / "apt.conf").write_text("".join(f"{line}\n" for line in lines))

    def _run(self, *argv: str, cwd: Path | None = None) -> Result:
        env = {"APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        return run(contained(argv), env=env, cwd=cwd, timeout=TIMEOUT, sink=self._sink, label=" ".join(argv))

    def update(self) -> Result:
        """Fetch and verify the indexes. Not judged: one dead source among several may do no harm."""
        return self._run("apt-get", "update", "--quiet")

    def source_versions(self, package: str) -> list[str]:
        """The versions of a source package that the indexes offer."""
        lines = self._run("apt-cache", "madison", package).check().stdout.splitlines()
        columns = [[column.strip() for column in line.split("|")] for line in lines]
        return [row[1] for row in columns if len(row) == 3 and row[0] == package and row[2].endswith("Sources")]

    def fetch_source(self, package: str, version: str, folder: Path) -> Path:
        """Download a source package, verified by apt against the signed indexes; returns its .dsc."""
        return self._fetch(
            "apt-get", "--quiet", "source", "--only-source", "--download-only", f"{package}={version}",
            folder=folder, leaves=f"{package}_*.dsc",
        )  # fmt: skip

    def fetch_package(self, package: str, folder: Path) -> Path:
        """Download a binary package, verified by apt against the signed indexes; returns its .deb."""
        return self._fetch("apt-get", "--quiet", "download", package, folder=folder, leaves=f"{package}_*.deb")

    def _fetch(self, *argv: str, folder: Path, leaves: str) -> Path:
        self._run(*argv, cwd=folder).check(HINT)
        found = sorted(folder.glob(leaves))
        if len(found) != 1:
            raise AptError(f"{' '.join(argv)} left {len(found)} files {leaves} in {folder}, not one")
        return found[0]
