"""What makes of the lab that is there the one that is wanted: a list of operations. Pure.

Those that have no ``refusal`` are carried out by ``up``; a new one is a class here and its case in ``operations``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields
from typing import Any

from lab.definition.models import Definition
from lab.topology import Node, Topology

#: Parts of a definition that may change at any time: the steps that carry them run again.
RECONFIGURABLE = frozenset({"keepalived", "haproxy"})


@dataclass(frozen=True)
class Add:
    """A machine more."""

    node: str
    part = "nodes"

    @property
    def refusal(self) -> str:
        """Why ``up`` does not carry it out."""
        return f"{self.node} would be added, and no machine joins the nodes of a lab that is there"


@dataclass(frozen=True)
class Remove:
    """A machine less."""

    node: str
    part = "nodes"

    @property
    def refusal(self) -> str:
        """Why ``up`` does not carry it out."""
        return f"{self.node} would be removed, and no machine leaves the nodes of a lab that is there"


@dataclass(frozen=True)
class Replace:
    """Another machine in the place of one that is gone, or of one that was born otherwise.

    ``changed`` has what it was born with and what is wanted, in words; nothing for one that is gone.
    """

    node: str
    changed: tuple[str, ...] = ()
    part = "nodes"

    @property
    def refusal(self) -> str:
        """Why ``up`` does not carry it out, "" for a machine that is gone."""
        if not self.changed:
            return ""
        return f"{self.node} would be replaced ({', '.join(self.changed)}), and it is still there"


@dataclass(frozen=True)
class Upgrade:
    """Another release of Kubernetes."""

    now: str
    then: str
    part = "kubernetes"

    @property
    def refusal(self) -> str:
        """Why ``up`` does not carry it out."""
        return f"Kubernetes would be upgraded from {self.now} to {self.then}, and a lab keeps the release it began with"


@dataclass(frozen=True)
class Reconfigure:
    """Other settings: of one ``part`` of the definition, or of one ``node``: its priority."""

    part: str
    node: str = ""

    @property
    def refusal(self) -> str:
        """Why ``up`` does not carry it out, "" for what its steps carry to the machines."""
        if self.part in RECONFIGURABLE or self.node:
            return ""
        return f"{self.part} would be reconfigured, and that is what machines and cluster are born with"


Operation = Add | Remove | Replace | Upgrade | Reconfigure


def operations(there: Topology, wanted: Topology, gone: Collection[str] = ()) -> list[Operation]:
    """What there is to be done; ``gone`` are the machines of the lab that are no more. Nothing when all is equal."""
    return [*_nodes(there, wanted, gone), *_settings(there.definition, wanted.definition)]


def _nodes(there: Topology, wanted: Topology, gone: Collection[str]) -> Iterator[Operation]:
    now, then = ({node.name: node for node in lab.nodes} for lab in (there, wanted))
    yield from (Remove(name) for name in now if name not in then)
    for name, node in then.items():
        if name not in now:
            yield Add(name)
            continue
        if (changed := tuple(_born_otherwise(now[name], node))) or name in gone:
            yield Replace(name, changed)
        if now[name].priority != node.priority and now[name].functions == node.functions:
            yield Reconfigure("nodes", name)


def _born_otherwise(now: Node, then: Node) -> Iterator[str]:
    for one in fields(Node):
        if one.name not in ("functions", "priority") and getattr(now, one.name) != getattr(then, one.name):
            yield f"{one.name} {getattr(now, one.name)}, wanted {getattr(then, one.name)}"
    if now.functions != then.functions:
        yield f"role {now.role}, wanted {then.role}"


def _settings(now: Definition, then: Definition) -> Iterator[Operation]:
    """By part. Sizes are compared machine by machine."""
    old, new = _parts(now), _parts(then)
    yield from (Reconfigure(part) for part in new if old[part] != new[part])
    if now.kubernetes.version != then.kubernetes.version:
        yield Upgrade(now.kubernetes.version, then.kubernetes.version)


def _parts(definition: Definition) -> dict[str, Any]:
    apart: dict[str, Any] = {"nodes": True, "machine": {"cpus", "memory"}, "kubernetes": {"version"}}
    return definition.model_dump(mode="json", exclude=apart)
