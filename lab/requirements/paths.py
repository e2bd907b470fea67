"""Where the clone and the cache lie: some programs cannot be told every path, however it is written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.requirements.finding import Finding, Grade


@dataclass(frozen=True)
class Forbidden:
    """What a path may not hold, in words, and who cannot have it."""

    pattern: re.Pattern[str]
    what: str
    why: str


EVERYWHERE = (
    Forbidden(re.compile(r"[\x00-\x1f\x7f]"), "a line break or another control character", "no configuration holds it"),
    Forbidden(re.compile(r"[\udc80-\udcff]"), "bytes that are no UTF-8", "files and messages are written in UTF-8"),
    Forbidden(re.compile(r":"), "a colon", "lists of folders are parted at it (PATH, Python's, overlayfs')"),
)

IN_CLONE = (
    *EVERYWHERE,
    Forbidden(re.compile(r"\$\{"), "${", "ssh puts a variable in its place (ssh_config(5))"),
)

IN_CACHE = (
    *EVERYWHERE,
    Forbidden(re.compile(r","), "a comma", "the kernel parts a mount's options at commas"),
    Forbidden(re.compile(r"\\"), "a backslash", "overlayfs takes it for an escape"),
    Forbidden(re.compile(r'"'), "a double quote", "apt's configuration cannot hold it"),
    Forbidden(re.compile(r"[][?]"), "a square bracket or a question mark", "Vagrant cannot read a box's address then"),
)


def paths(clone: Path, cache: Path) -> Finding:
    """Can every program be told where the clone and the cache lie?"""
    wrong = [*_wrong(clone, IN_CLONE, "clone"), *_wrong(cache, IN_CACHE, "cache")]
    if not wrong:
        return Finding("paths", f"{clone} and {cache} can be told to every program", Grade.GOOD)
    hint = "move or rename the clone's folder; HALAB_CACHE names another place for the cache"
    return Finding("paths", "; ".join(wrong), Grade.BAD, hint)


def _wrong(path: Path, forbidden: Sequence[Forbidden], whose: str) -> Iterator[str]:
    for one in forbidden:
        if one.pattern.search(str(path)):
            yield f"the {whose}'s path {readable(path)} holds {one.what}: {one.why}"


def readable(path: Path) -> str:
    """A path that can be printed, whatever its bytes are."""
    return os.fsencode(path).decode(errors="backslashreplace").translate(dict.fromkeys(range(32), "�"))
