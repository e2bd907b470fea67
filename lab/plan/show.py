"""What ``./inv plan`` has to say of a lab, as plain data: machines, promises, risks."""

from __future__ import annotations

from dataclasses import dataclass

from lab.definition.driver import followed, unkept
from lab.definition.problem import Problem, Severity
from lab.definition.rules import check
from lab.faults.kind import Situation
from lab.faults.kinds import KINDS
from lab.oracle.failover import shown
from lab.plan.site import Site
from lab.plan.steps import steps_of
from lab.plan.watching import unmeasured, unwatchable
from lab.topology import Topology


@dataclass(frozen=True)
class Table:
    """A table: its column heads, and rows of text in the same order."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Overview:
    """All of it. ``facts`` are names and values; ``risks`` are sentences."""

    facts: tuple[tuple[str, str], ...]
    nodes: Table
    promises: Table
    risks: tuple[str, ...]


def overview(topology: Topology, site: Site | None = None) -> Overview:
    """Describe a lab; ``site`` adds what was chosen for this host."""
    definition, network = topology.definition, topology.definition.network
    facts = [("lab", definition.name), ("endpoint", topology.endpoint)]
    if site is not None:
        facts.append(("provider", f"{site.provider} ({site.driver})" if site.driver else site.provider))
    if timers := follows(topology):
        facts.append(("unset timers", timers))
    facts += [
        ("subnet", f"{network.subnet}, host {topology.gateway}"),
        ("pods", str(network.pods)),
        ("services", str(network.services)),
        ("Kubernetes", f"{definition.kubernetes.version} (source {definition.kubernetes.source})"),
    ]
    return Overview(tuple(facts), _nodes(topology), _promises(topology), risks(topology, site.provider if site else ""))


def _nodes(topology: Topology) -> Table:
    rows = tuple(
        (
            node.name,
            node.role,
            str(node.address),
            str(node.priority or ""),
            str(node.pod_subnet),
            " ".join(step.name for step in steps_of(topology, node) if step.ends is None and not step.undoes),
        )
        for node in topology.nodes
    )
    return Table(("node", "role", "address", "priority", "pods", "steps"), rows)


def _promises(topology: Topology) -> Table:
    words = {True: "moves", False: "stays", None: "may move"}
    rows = tuple(
        (
            kind.name,
            words[made.moves],
            shown(made.outage) if made.survived else "not survived",
            shown(made.back) if made.back else "–",
            shown(made.failback) if made.failback else "not promised" if made.survived else "–",
            made.reason,
        )
        for kind in KINDS.values()
        if kind.on_holder and kind.promise is not None and (made := kind.promise(Situation(topology)))
    )
    heads = ("fault on the holder", "VIP", "outage", "VIP back after the heal", "outage after the heal", "because")
    return Table(heads, rows)


def risks(topology: Topology, provider: str = "") -> tuple[str, ...]:
    """What works, but should be known: the definition's warnings, with the provider really chosen ("" = not yet).

    What verify cannot measure is among them.
    """
    definition = topology.definition.model_copy(update={"provider": provider} if provider else {})
    problems = [*check(definition), *unkept(definition, topology.driver)]
    told = [_sentence(problem) for problem in problems if problem.severity is Severity.WARNING]
    if found := unwatchable(topology):
        told.append(f"{unmeasured(found)}: it refuses them")
    return tuple(told)


def follows(topology: Topology) -> str:
    """The timers that have the driver's value and not the usual one, because the definition sets none; "" for none."""
    values = followed(topology.definition, topology.driver)
    listed = ", ".join(f"{field} {seconds:g}" for field, seconds in values.items())
    return f"follow the driver, as machines are emulated: {listed} (seconds)" if listed else ""


def _sentence(problem: Problem) -> str:
    return f"{problem.path}: {problem.wrong}" + (f" (better: {problem.right})" if problem.right else "")
