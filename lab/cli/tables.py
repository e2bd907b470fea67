"""Tables that several commands show. Pure: data in, rows out."""

from __future__ import annotations

from rich.console import RenderableType

from lab.cluster.status import Status
from lab.console import bad, dim, good
from lab.timeline import Timeline

Rows = tuple[list[str], list[list[RenderableType]]]


def phases_table(timeline: Timeline) -> Rows:
    """Every phase with its beginning, its length and a bar on the common time axis."""
    total = max(timeline.elapsed, 0.001)
    width = 40
    rows: list[list[RenderableType]] = []
    for phase in timeline.phases:
        before = round(phase.start / total * width)
        length = max(1, round(phase.duration / total * width))
        rows.append(
            [
                phase.machine or "host",
                phase.name,
                f"{phase.start:7.1f}",
                f"{phase.duration:7.1f}",
                dim(" " * before + "━" * length),
            ]
        )
    rows.append(["", "total", "", f"{total:7.1f}", ""])
    return ["machine", "phase", "from s", "took s", ""], rows


def machines_table(status: Status) -> Rows:
    """A row a machine: what it is and how its parts are."""
    nodes = {node.name: node for node in status.nodes}
    members = {member.name: member for member in status.etcd}
    rows: list[list[RenderableType]] = []
    for machine in status.machines:
        name = machine["name"]
        node = nodes.get(name)
        member = members.get(name)
        balancer = status.loadbalancers.get(name)
        up = sum(1 for state in balancer.backends.values() if state == "UP") if balancer else 0
        rows.append(
            [
                name,
                machine["role"],
                machine["address"],
                good("running") if machine["state"] == "running" else bad(machine["state"]),
                (good("Ready") if node.ready else bad("NotReady")) if node else dim("–"),
                good("holds") if name in status.holders else dim("–"),
                _backends(up, len(balancer.backends)) if balancer else dim("–"),
                (good("leads") if member.leads else "member") if member else dim("–"),
            ]
        )
    return ["machine", "role", "address", "state", "node", "VIP", "backends", "etcd"], rows


def leases_line(status: Status) -> str:
    """Who schedules and who controls, "" before there is a cluster."""
    return ", ".join(f"{lease} leads on {holder or 'no machine'}" for lease, holder in status.leases.items())


def _backends(up: int, known: int) -> RenderableType:
    text = f"{up}/{known}"
    return good(text) if known and up == known else bad(text)
