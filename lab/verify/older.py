"""Records from before the form of histories was counted, brought into the form that is read today. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.oracle.failover import GRAIN
from lab.verify.records import Part


def upgraded(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record of form 0 in today's."""
    if data.get("kind") == "fault":  # it had one machine, and nothing that says how
        return {**data, "fault": {"kind": data["name"], "targets": [data["node"]]}}
    if data.get("kind") == "header" and isinstance(given := data.get("promise"), Mapping):
        return {**data, "promise": _promise(given)}
    return data


def _promise(given: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A promise; None for one that cannot be understood: the rest of the history can."""
    if "double" not in given:
        return None
    # There was one bound for two holders, an advertisement: no more than a lost one explains.
    double = float(given["double"])
    return {**given, "double": min(double, GRAIN), "lost": given.get("lost", double)}


def part(case: str) -> Part:
    """The part that the word ``case`` meant: rounds were counted in it."""
    name, _, number = case.partition("#")
    return Part(name, int(number or 0))
