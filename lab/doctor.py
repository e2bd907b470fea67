"""Can this host run a lab? Looks only; every finding says what it means and what to do."""

from __future__ import annotations

import os

from lab.cache import Cache, CacheError, check_folder, read_manifest
from lab.definition import Definition
from lab.identity import Identity
from lab.requirements import examination
from lab.requirements.finding import Finding, Grade
from lab.requirements.scope import of_new_lab


def examine(definition: Definition, identity: Identity, wanted: str) -> list[Finding]:
    """All that a new lab of this definition needs on this host, and whether what was built once is as it was."""
    return [*examination.examine(of_new_lab(definition, identity, wanted)), cache()]


def cache() -> Finding:
    """What was built once, read from beginning to end: damage that keeps size and time shows nowhere else."""
    kept = Cache.default()
    if os.geteuid() != 0:
        return Finding("cache", f"{len(kept.folders())} entries, not read: that needs root", Grade.GOOD)
    damaged, size = [], 0
    for folder in kept.folders():
        try:
            check_folder(folder, deep=True)
            size += sum(int(file.get("size", 0)) for file in read_manifest(folder)["files"].values())
        except CacheError as error:
            damaged.append(error.message)
    if damaged:
        hint = "./inv up builds it anew; a lab that was made from it must be destroyed before"
        return Finding("cache", "; ".join(damaged), Grade.BAD, hint)
    seen = f"{len(kept.folders())} entries, {size / 2**30:.1f} GiB, whole" if size else "empty"
    return Finding("cache", seen, Grade.GOOD)
