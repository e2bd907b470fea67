"""Debian packages by apt's ordinary client and the machine's own configured sources, in a private configuration.

Nothing of the machine's package state is read or changed but its sources, its keys and its apt.conf. No mirror is named
here: a machine without a usable source is told so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.command import LineSink, Result, run
from lab.contained import contained
from lab.errors import LabError

#: The release whose packages the lab is made of.
CODENAME = "bookworm"

#: Names under which a mirror offers that release and its updates ("oldstable" is its alias since Debian 13).
SUITES = re.compile(r"^(bookworm|oldstable)(-updates|-security|/updates)?/?$")

#: Seconds for one call of apt that downloads: a mirror that stops half-way ends by Acquire's own timeout long before.
TIMEOUT = 900.0

#: A mirror that stops half-way is given up after 3 × 20 s instead of apt's two minutes a try (apt.conf(5)).
ACQUIRE = {"Acquire::Retries": "2", "Acquire::http::Timeout": "20", "Acquire::https::Timeout": "20"}


class AptError(LabError):
    """The configured sources do not give what is needed."""


@dataclass(frozen=True)
class Source:
    """One stanza of a deb822 file: field name (lower case) to value."""

    fields: Mapping[str, str]

    def of_type(self, kind: str) -> str:
        """The stanza's text, offering ``kind`` ("deb" or "deb-src") and component main only."""
        shown = {**self.fields, "types": kind, "components": "main"}
        return "".join(f"{name.title()}: {value}\n" for name, value in shown.items())


def configured(etc: Path = Path("/etc/apt")) -> list[Source]:
    """The machine's own binary sources of the release's component main, third parties left out.

    Both formats are read (sources.list(5)): *.sources (deb822) and one line a source. Raises AptError without any.
    """
    found: list[Source] = []
    for path in sorted((etc / "sources.list.d").glob("*.sources")):
        found += deb822(path.read_text())
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list"))]:
        if path.is_file():
            found += one_line(path.read_text())
    usable = [only for source in found if (only := _official(source)) is not None]
    if not usable:
        raise AptError(
            f"no source of Debian 12 ({CODENAME}, component main) is configured in {etc}",
            "add the address of a Debian mirror to /etc/apt/sources.list.d/ and try again",
        )
    return usable


def deb822(text: str) -> list[Source]:
    """The stanzas of a *.sources file. Continuation lines (an embedded key in Signed-By) are kept."""
    sources = []
    for block in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        last = ""
        for line in block.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if line[0] in " \t" and last:
                fields[last] += "\n" + line
            elif ":" in line:
                last, _, value = line.partition(":")
                last = last.strip().lower()
                fields[last] = value.strip()
        if fields:
            sources.append(Source(fields))
    return sources


_ONE_LINE = re.compile(
    r"^deb(?:-src)?\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s*(?P<components>[^#]*)"
)


def one_line(text: str) -> list[Source]:
    """The sources of a *.list file, as stanzas."""
    sources = []
    for line in text.splitlines():
        if match := _ONE_LINE.match(line.strip()):
            fields = {"types": line.split()[0], "uris": match["uri"], "suites": match["suite"]}
            fields["components"] = match["components"].strip()
            for option in (match["options"] or "").split():
                name, _, value = option.partition("=")
                fields[_OPTIONS.get(name.lower(), name.lower())] = value.replace(",", " ")
            sources.append(Source(fields))
    return sources


#: Options of the one-line format that have another name in a stanza (sources.list(5)).
_OPTIONS = {"arch": "architectures", "lang": "languages", "target": "targets"}


def _official(source: Source) -> Source | None:
    """The part of a source that offers the release's main, or None. Switched-off sources offer nothing."""
    fields = source.fields
    suites = [suite for suite in fields.get("suites", "").split() if SUITES.match(suite)]
    switched_off = fields.get("enabled", "yes").lower() in ("no", "false", "0", "off", "without", "disable")
    if switched_off or not suites or "main" not in fields.get("components", "").split():
        return None
    return Source({**fields, "suites": " ".join(suites)})


def stanzas(sources: Iterable[Source], kind: str) -> str:
    """The text of a *.sources file. A source that the machine has as deb and as deb-src is written once."""
    return "\n".join(dict.fromkeys(source.of_type(kind) for source in sources))


def acquire_options(dump: str) -> list[str]:
    """The machine's own ways to reach its mirrors (proxy, dates, TLS) out of ``apt-config dump``, as `Key "value";`.

    Index targets and hooks are left out: they are about this machine's other programs.
    """
    wanted = re.compile(
        r'^Acquire::(?!IndexTargets|Languages|GzipIndexes|CompressionTypes|Changelogs)[^"]*::[^"]* ".+";$'
    )
    flat = re.compile(r'^Acquire::(Check-Valid-Until|Check-Date|Retries|ForceIPv[46]|By-Hash|AllowInsecure\w+) ".+";$')
    return [line for line in dump.splitlines() if wanted.match(line) or flat.match(line)]


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
            "Dir::Etc::SourceList": "/dev/null",
            "Dir::Etc::SourceParts": str(folder / "sources"),
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": str(folder / "empty"),
            "Dir::State::Lists": str(folder / "lists"),
            "Dir::State::Status": str(folder / "status"),
            "Dir::Cache": str(folder / "cache"),
            "APT::Sandbox::User": "root",  # apt's own user may not enter the cache's folder
            **ACQUIRE,
        }
        # The machine's own index hooks have no business with a private list.
        clears = ["APT::Update::Post-Invoke", "APT::Update::Post-Invoke-Success"]
        text = "".join(f"#clear {name};\n" for name in clears)
        text += "".join(f'{name} "{value}";\n' for name, value in settings.items())
        (folder / "apt.conf").write_text(text)

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
        self._run(
            "apt-get", "--quiet", "source", "--only-source", "--download-only", f"{package}={version}", cwd=folder
        ).check("the mirror did not give the whole source package; try again, or use another mirror")
        found = sorted(folder.glob(f"{package}_*.dsc"))
        if len(found) != 1:
            raise AptError(f"apt-get source {package}={version} left {len(found)} .dsc files in {folder}, not one")
        return found[0]
