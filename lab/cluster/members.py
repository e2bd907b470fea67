"""Who belongs to the cluster: judged by what its control plane says, never by a machine's own mark alone. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from lab.cluster.observation import Observation
from lab.model.functions import Function
from lab.topology import Node

#: The port on which etcd's members speak to each other (kubeadm sets etcd's own default).
PEER_PORT = 2380


class Standing(StrEnum):
    """How a machine stands to the cluster."""

    MEMBER = "member"
    #: It has nothing of a cluster: new, cleaned, half-way in, or a master whose etcd has lost its data.
    OUTSIDE = "outside"
    #: It joined a cluster with another certificate authority, such as one that this lab has given up.
    FOREIGN = "foreign"
    #: It joined this cluster, which has removed its Node or its etcd member since.
    REMOVED = "removed"
    #: It joined this cluster as a Node that was deleted; the one of its name was made since, without what joins give.
    RENEWED = "renewed"


@dataclass(frozen=True)
class Cluster:
    """The cluster as a member of its control plane tells it.

    ``authority`` is the digest of its CA certificate, ``nodes`` maps each Node's name to its UID, ``peers`` each etcd
    member's peer URL to its name, which is "" for a member that was added and never started.
    """

    authority: str
    nodes: Mapping[str, str]
    peers: Mapping[str, str]

    def knows(self, node: Node) -> bool:
        """Is there a Node or an etcd member of this machine, or of an earlier one in its place?"""
        return node.name in self.nodes or peer_url(node) in self.peers


def peer_url(node: Node) -> str:
    """Where the etcd of a master is reached by the others, which tells whose member it is before it has a name."""
    return f"https://{node.address}:{PEER_PORT}"


def told(seen: Observation) -> Cluster | None:
    """The cluster that a machine tells of; None when it is no control plane, or does not answer as one."""
    if not {"authority", "nodes", "etcd"} <= seen.keys():
        return None
    return Cluster(
        seen["authority"],
        {node["name"]: node["uid"] for node in seen["nodes"]},
        {url: member["name"] for member in seen["etcd"]["members"] for url in member["peer_urls"]},
    )


def standing(node: Node, seen: Observation, cluster: Cluster) -> Standing:
    """How a machine, by what was seen of it, stands to the cluster. It must have been reachable."""
    if not seen.get("joined") or (node.has(Function.ETCD) and not seen.get("etcd_data")):
        return Standing.OUTSIDE
    if seen.get("authority") != cluster.authority:
        return Standing.FOREIGN
    if node.name not in cluster.nodes or (node.has(Function.ETCD) and not cluster.peers.get(peer_url(node))):
        return Standing.REMOVED
    # A mark of an earlier version of this program names no UID.
    return Standing.MEMBER if seen.get("node_uid") in ("", cluster.nodes[node.name]) else Standing.RENEWED


def lost(node: Node, seen: Observation, cluster: Cluster) -> bool:
    """Does the cluster know the machine, while nothing of the cluster is left on it?

    Its etcd member, if it had one, can never come back. (One that is only slow has its data.)
    """
    if not cluster.knows(node):
        return False
    if not node.has(Function.ETCD):
        return standing(node, seen, cluster) is not Standing.MEMBER
    has_data = bool(seen.get("etcd_data")) and seen.get("authority") == cluster.authority
    return not has_data or cluster.peers.get(peer_url(node)) == ""
