"""All kinds of faults, by name. A new one is a module with its KINDS, and a word here."""

from __future__ import annotations

from lab.errors import UsageError
from lab.faults import haproxy, keepalived, litter, machine, scheduler
from lab.faults.kind import Kind

KINDS: dict[str, Kind] = {
    kind.name: kind for module in (haproxy, keepalived, machine, scheduler, litter) for kind in module.KINDS
}


def kind_of(name: str) -> Kind:
    """The kind of that name. Raises UsageError for one that does not exist."""
    if name not in KINDS:
        faults = sorted(kind.name for kind in KINDS.values() if not kind.litter)
        raise UsageError(f"no such fault: {name}", f"there are: {', '.join(faults)}")
    return KINDS[name]
