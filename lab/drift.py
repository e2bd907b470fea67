"""What was applied on a lab's machines beside what its definition says: where they differ, nothing can be promised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lab.cluster.observation import Observation
from lab.context import Lab
from lab.plan.steps import lasting
from lab.provisioning import Scripts, kept, rendered
from lab.stage import Stage
from lab.topology import Topology


def drift(lab: Lab) -> str:
    """In one line, where they differ; "" where they do not. Asks the machines that run."""
    _, seen = lab.observe()
    stage = lab.state.stage or Stage.MACHINES
    folder = kept(lab.state.folder, lab.topology)
    return "; ".join(differences(lab.topology, stage, rendered(lab.topology, lab.site), folder, seen))


def differences(
    topology: Topology, stage: Stage, wanted: Scripts, folder: Scripts, seen: Mapping[str, Observation]
) -> Iterator[str]:
    """A phrase for each machine that runs and has not been through the ``wanted`` steps of its stage. Pure.

    The scripts in the lab's ``folder`` may have been run by hand, which is not recorded: they must be the wanted ones.
    """
    for node in topology.nodes:
        if node.name not in seen:
            continue  # it is off, and runs nothing else either
        observation = seen[node.name]
        if "unreachable" in observation:
            yield f"{node.name} does not say what was applied on it"
            continue
        recorded = observation.get("steps", {})
        steps = [step.name for step in lasting(topology, node, stage)]
        other = [step for step in steps if recorded.get(step) != wanted[node.name, step].digest]
        edited = [
            step for step in steps if step not in other and folder.get((node.name, step)) != wanted[node.name, step]
        ]
        if other:
            yield f"{', '.join(other)} not applied on {node.name}"
        if edited:
            yield f"{', '.join(edited)} of {node.name} changed in the lab's folder"
