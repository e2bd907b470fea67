"""Whether etcd can ever have its quorum again, judged by who still has data. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lab.cluster.members import peer_url
from lab.cluster.observation import Observation
from lab.topology import Node


@dataclass(frozen=True)
class Quorum:
    """Of ``members`` of etcd, whose machines still have their data (``left``) and whose have not (``lost``)."""

    members: int
    left: tuple[str, ...]
    lost: tuple[str, ...]

    @property
    def needed(self) -> int:
        """How many members must agree."""
        return self.members // 2 + 1

    @property
    def gone(self) -> bool:
        """Can those that are left never agree again on anything?"""
        return len(self.left) < self.needed

    def __str__(self) -> str:
        left = f"only {_are(' and '.join(self.left), len(self.left))}" if self.left else "none is"
        members = "member" if self.members == 1 else "members"
        return f"of {self.members} etcd {members} {left} left, {_are(str(self.needed), self.needed)} needed"


def _are(what: str, number: int) -> str:
    return f"{what} {'is' if number == 1 else 'are'}"


def survivors(machines: Sequence[Node], seen: Mapping[str, Observation]) -> list[Node]:
    """Those of etcd's machines that have its data, whatever state it is in.

    Without the cluster's CA it can never be used again: cleaning a machine that was killed has left it.
    """
    return [node for node in machines if seen[node.name].get("etcd_data") and seen[node.name].get("authority") != ""]


def outlook(
    machines: Sequence[Node], seen: Mapping[str, Observation], peers: Mapping[str, Iterable[str]]
) -> Quorum | None:
    """What is left of the quorum; ``peers`` has the peer URLs of all members as each survivor's own etcd knows them.

    None as long as a survivor has not told: it might be the one that knows that there are fewer members by now.
    """
    told = all(node.name in peers for node in survivors(machines, seen))
    return at_worst(machines, seen, peers) if told else None


def at_worst(machines: Sequence[Node], seen: Mapping[str, Observation], peers: Mapping[str, Iterable[str]]) -> Quorum:
    """The same by those survivors that have told; where none has, as if every machine were a member.

    Where they do not agree, the one is believed by whom most is left.
    """
    remaining = survivors(machines, seen)
    views = [
        _view(machines, remaining, seen, node, frozenset(peers[node.name])) for node in remaining if node.name in peers
    ]
    return max(views, key=lambda view: len(view.left) - view.needed, default=_all_members(machines, remaining))


def _all_members(machines: Sequence[Node], remaining: Sequence[Node]) -> Quorum:
    left = tuple(node.name for node in remaining)
    return Quorum(len(machines), left, tuple(node.name for node in machines if node.name not in left))


def _view(
    machines: Sequence[Node],
    remaining: Sequence[Node],
    seen: Mapping[str, Observation],
    owner: Node,
    peers: frozenset[str],
) -> Quorum:
    """What one survivor knows: of its members those are left that have data of the same cluster."""
    authority = seen[owner.name].get("authority")
    same = [node for node in remaining if seen[node.name].get("authority") == authority]
    left = tuple(node.name for node in same if peer_url(node) in peers)
    gone = tuple(node.name for node in machines if peer_url(node) in peers and node.name not in left)
    return Quorum(len(peers), left, gone)
