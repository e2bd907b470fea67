"""Can this host run a lab? Looks only; every finding says what it means and what to do."""

from __future__ import annotations

import os
from dataclasses import replace

from lab.cache import Cache, CacheError, check_folder, read_manifest
from lab.context import assemble
from lab.definition import Definition
from lab.errors import LabError
from lab.identity import Identity
from lab.providers.base import MachineState
from lab.requirements import examination
from lab.requirements.finding import Finding, Grade
from lab.requirements.scope import of_new_lab
from lab.state import State


def examine(definition: Definition, identity: Identity, wanted: str) -> list[Finding]:
    """All that a new lab of this definition needs on this host, and whether what was built once is as it was.

    What runs of the lab already has its memory and its disk: it does not count again.
    """
    new = of_new_lab(definition, identity, wanted)
    running = _running(definition, State(identity), new.site.provider)
    scope = replace(new, nodes=tuple(node for node in new.nodes if node.name not in running))
    return [*examination.examine(scope), cache()]


def _running(definition: Definition, state: State, provider: str) -> set[str]:
    """The lab's machines that run, by this provider; none where nobody can tell."""
    try:
        site = state.load_site()
        if site is None or site.provider != provider:
            return set()
        states = assemble(definition, state, site).provider.states()
    except LabError:
        return set()
    return {name for name, seen in states.items() if seen is MachineState.RUNNING}


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
