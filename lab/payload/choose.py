"""Which source of Kubernetes is taken, and why."""

from __future__ import annotations

from lab.cache import Cache, Entry
from lab.errors import LabError, UsageError
from lab.kubernetes.release import releases_of
from lab.payload.base import Payload
from lab.payload.debian import DebianPayload

#: Sources that the definition may name but that are not built yet, and what they will be.
PLANNED = {
    "upstream": "the community's package repository and registry",
    "bundle": "an archive made earlier",
}

#: Every source with each release that it has, the newest first, in the order in which auto tries them.
SOURCES: tuple[Payload, ...] = tuple(DebianPayload(one) for one in releases_of("debian"))


def choose(cache: Cache, source: str, version: str = "", *, refresh: bool = False) -> tuple[Payload, str]:
    """The payload for a definition's ``source`` ("auto" takes the first that works) and ``version`` ("" = its own).

    What lies in the cache works, wherever it came from, unless it shall be built anew (``refresh``). Returns the
    payload with the reason. Raises UsageError for a source or version that does not exist, LabError when none works.
    """
    names = dict.fromkeys(payload.name for payload in SOURCES)
    hint = f"take auto or one of: {', '.join(names)}"
    if source in PLANNED:
        raise UsageError(f"kubernetes.source: {source} ({PLANNED[source]}) is not available yet", hint)
    if source != "auto" and source not in names:
        raise UsageError(f"kubernetes.source: there is no source {source!r}", hint)
    reasons = []
    for payload in SOURCES:
        if source not in ("auto", payload.name):
            continue
        if version and payload.version != version:
            reasons.append(f"{payload.name}: has {payload.version} only, not {version}")
            continue
        if payload.tree(cache).ready and not refresh:
            return payload, f"{payload.name}: in the cache"
        availability = payload.available()
        if availability.ok:
            return payload, f"{payload.name}: {availability.why}"
        reasons.append(f"{payload.name}: {availability.why}")
    raise LabError(f"no source of Kubernetes {version} works on this host".replace("  ", " "), "\n".join(reasons))


def first(source: str, version: str) -> Payload | None:
    """The first source that has this version, whether it works on this host or not; None when no source has it."""
    fitting = (payload for payload in SOURCES if source in ("auto", payload.name) and payload.version == version)
    return next(fitting, None)


def tree(cache: Cache, source: str, version: str) -> Entry | None:
    """Where the payload of the first source lies that has this version, built or not; None when no source has it."""
    payload = first(source, version)
    return payload.tree(cache) if payload is not None else None
