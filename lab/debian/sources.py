"""Debian 12's package sources on this host: those that it has, else those of its own release with the suite replaced.

Read from /etc/apt in both of its formats (sources.list(5)). No mirror is named here: a machine without a usable source
is told so. What they give is installed as root, so it counts only with Debian's signature, whatever the host trusts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.command import run
from lab.errors import LabError

#: The release whose packages the lab is made of.
CODENAME = "bookworm"

#: Debian's other releases, as suites name them: the later ones' code names, and the aliases, which mean another release
#: every two years. An archive of Debian's that has one of them has CODENAME too.
OTHERS = ("trixie", "forky", "duke", "sid", "oldstable", "stable", "testing", "unstable")

#: A suite is a release and what of it: all, its updates, its security updates (under two names: "/updates" until 2021).
SUITE = re.compile(r"(?P<release>[a-z]+)(?P<part>-updates|-security|/updates)?/?")

#: Fields of a source that hold for all suites of its archive. None lets through what Debian has not signed. (The last
#: lets through what is old: a snapshot of the archive has release files that have expired.)
KEPT = ("types", "uris", "components", "architectures", "check-valid-until")

#: Fields by which a source counts for apt without a good signature (sources.list(5)). Debian's archive needs none.
LOOSENING = ("trusted", "allow-insecure", "allow-weak", "allow-downgrade-to-insecure")

#: What apt takes for yes and for no (StringToBool).
YES, NO = ("yes", "true", "1", "on", "with", "enable"), ("no", "false", "0", "off", "without", "disable")

#: What the files begin with that hold Debian's keys (package debian-archive-keyring).
DEBIAN_KEYS = "debian-archive-"


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

    @property
    def addresses(self) -> list[str]:
        """Where it lies, without the slash at the end."""
        return [uri.rstrip("/") for uri in self.fields.get("uris", "").split()]


def configured(
    etc: Path = Path("/etc/apt"),
    keyrings: Path = Path("/usr/share/keyrings"),
    origins: Callable[[], Mapping[str, str]] | None = None,
) -> list[Source]:
    """The sources of Debian 12's component main for this host.

    They are the host's own; where it has none of Debian's, as on a later release, they are derived from those of its
    Debian archive. Of either only what Debian's keys in ``keyrings`` have signed counts. ``origins`` tells what apt has
    on record (default: recorded_origins), asked only where it matters. Raises AptError when there are none.
    """
    enabled = [source for source in read(etc) if _offers_main(source)]
    own = [part for source in enabled if (part := _of(source, (CODENAME,)))]
    others = [part for source in enabled if (part := _of(source, OTHERS))]
    known = {} if all(map(_names_debians_keys, [*own, *others])) else (origins or recorded_origins)()
    if debians := [source for source in own if is_debians(source, known)]:
        return [signed(source, keyring(keyrings)) for source in debians]
    if debians := [source for source in others if is_debians(source, known)]:
        return [derived(source, keyring(keyrings)) for source in debians]
    # A mirror may name a copy of Debian's keys, and apt may never have asked it: the signature will tell.
    if unasked := [source for source in own if not _recorded(source, known)]:
        return [signed(source, keyring(keyrings)) for source in unasked]
    raise AptError(
        f"no source of Debian 12 ({CODENAME}, component main) is configured in {etc}, nor one of a later Debian",
        f"add a Debian mirror with the suite {CODENAME} to /etc/apt/sources.list.d/ and try again",
    )


def read(etc: Path) -> list[Source]:
    """All sources in a folder like /etc/apt."""
    found: list[Source] = []
    for path in sorted((etc / "sources.list.d").glob("*.sources")):
        found += deb822(_text(path))
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list"))]:
        found += one_line(_text(path))
    return found


def _text(path: Path) -> str:
    """What stands in a file, comments in whatever encoding; a folder or a link to nothing is nothing to apt either.

    Raises AptError when it may not be read.
    """
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    except OSError as error:
        hint = "make it readable, or run the command as root"
        raise AptError(f"{path} cannot be read: {error.strerror}", hint) from None


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


def _offers_main(source: Source) -> bool:
    """Is it switched on, and does it have the component main? (Debian's has, most third parties' have others.)"""
    switched_off = source.fields.get("enabled", "yes").lower() in NO
    return not switched_off and "main" in source.fields.get("components", "").split()


def _of(source: Source, releases: Iterable[str]) -> Source | None:
    """The part of a source that offers one of these releases, or None."""
    matches = {suite: SUITE.fullmatch(suite) for suite in source.fields.get("suites", "").split()}
    suites = [suite for suite, match in matches.items() if match and match["release"] in releases]
    return Source({**source.fields, "suites": " ".join(suites)}) if suites else None


def is_debians(source: Source, origins: Mapping[str, str]) -> bool:
    """Is this Debian's own archive (a mirror of it), and not somebody's who names suites after Debian's releases?

    The origin tells that apt has on record for its address (a mirror may name any copy of Debian's keys). Where there
    is none, the keys that it names tell, and a source that names none and needs none is Debian's.
    """
    if recorded := _recorded(source, origins):
        return recorded == {"Debian"}
    if "signed-by" in source.fields:
        return _names_debians_keys(source)
    return not any(source.fields.get(name, "no").lower() in YES for name in LOOSENING)


def _recorded(source: Source, origins: Mapping[str, str]) -> set[str]:
    return {origins[address] for address in source.addresses if address in origins}


def _names_debians_keys(source: Source) -> bool:
    keys = source.fields.get("signed-by", "").split()
    return bool(keys) and all(Path(key).name.startswith(DEBIAN_KEYS) for key in keys)


def signed(source: Source, keys: Path) -> Source:
    """The same source, which counts only when Debian has signed it (``keys``), whatever apt is told to trust."""
    kept = {name: source.fields[name] for name in KEPT if name in source.fields}
    return Source({**kept, "suites": source.fields["suites"], "signed-by": str(keys)})


def derived(source: Source, keys: Path) -> Source:
    """The same archive's Debian 12, signed by Debian too."""
    parts = [match["part"] or "" for suite in source.fields["suites"].split() if (match := SUITE.fullmatch(suite))]
    suites = dict.fromkeys(CODENAME + part.replace("/updates", "-security") for part in parts)
    return signed(Source({**source.fields, "suites": " ".join(suites)}), keys)


def keyring(folder: Path) -> Path:
    """The file with all of Debian's keys. Raises AptError without."""
    for name in ("debian-archive-keyring.gpg", "debian-archive-keyring.pgp"):  # Debian 12; later ones, with a link
        if (folder / name).is_file():
            return folder / name
    raise AptError(f"Debian's keys are not in {folder}", "apt-get install debian-archive-keyring")


def recorded_origins() -> dict[str, str]:
    """What apt has on record: address of an archive to the origin that its release file names, "" where it names none.

    apt lists what it has downloaded, and leaves a name as it is for which a release file has nothing.
    """
    listed = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN)"]).stdout
    pairs = (line.partition(" ") for line in listed.splitlines())
    return {address.rstrip("/"): "" if origin == "$(ORIGIN)" else origin for address, _, origin in pairs}


def stanzas(sources: Iterable[Source], kind: str) -> str:
    """The text of a *.sources file. A source that the machine has as deb and as deb-src is written once."""
    return "\n".join(dict.fromkeys(source.of_type(kind) for source in sources))
