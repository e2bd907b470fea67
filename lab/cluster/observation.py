"""What each machine knows, asked of all machines at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from lab.definition.driver import EMULATION
from lab.errors import LabError
from lab.machine import Machine
from lab.machines.programs import text
from lab.parallel import workers
from lab.plan.steps import STEPS
from lab.topology import Node, Topology
from lab.waiting import WaitTimeout, wait_for

#: Seconds that one machine is given to answer: the observer's own limits are two seconds a question.
ASK_SECONDS = 15.0

#: The same for an emulated machine: with all of the host's processors busy starting Python alone took it 16 and more.
EMULATED_ASK_SECONDS = 60.0

#: Seconds in which machines that answer ssh tell what they know: on a busy host one look may take too long.
TELL_SECONDS = 60.0

#: The units that steps start, of which a step is due again where they do not run.
UNITS = sorted({step.unit for step in STEPS if step.unit})

#: What the observer printed on one machine; {"unreachable": reason} when it could not be asked.
Observation = Mapping[str, Any]


def ask(machine: Machine, node: Node, vip: str, seconds: float = ASK_SECONDS) -> Observation:
    """Ask one machine; never raises, because a machine that does not answer is an observation too."""
    script = f"python3 - \"$@\" <<'OBSERVER'\n{text('observer')}\nOBSERVER\n"
    try:
        args = [vip, " ".join(sorted(node.functions)), str(node.address), *UNITS]
        result = machine.run(script, args, timeout=seconds, label="observe").check()
        observation: Observation = json.loads(result.stdout)
    except (LabError, ValueError) as error:
        return {"unreachable": str(error)}
    return observation


def observe(topology: Topology, machines: Mapping[str, Machine]) -> dict[str, Observation]:
    """Ask all the given machines side by side; returns the observations by the machine's name."""
    asked = [topology.node(name) for name in machines]
    vip, seconds = str(topology.vip), EMULATED_ASK_SECONDS if topology.driver == EMULATION else ASK_SECONDS
    with workers(len(asked)) as pool:
        seen = pool.map(lambda node: ask(machines[node.name], node, vip, seconds), asked)
    return {node.name: observation for node, observation in zip(asked, seen, strict=True)}


def silent(seen: Mapping[str, Observation]) -> dict[str, str]:
    """The machines that did not answer, each with the reason. Pure."""
    return {name: str(one["unreachable"]) for name, one in seen.items() if "unreachable" in one}


def insist(
    topology: Topology, machines: Mapping[str, Machine], seen: Mapping[str, Observation]
) -> dict[str, Observation]:
    """Ask the machines that were silent when they were ``seen`` again, until each has answered.

    Returns what was seen last, some of it silence, when TELL_SECONDS have passed.
    """
    found = dict(seen)

    def look() -> dict[str, str]:
        found.update(observe(topology, {name: machines[name] for name in silent(found)}))
        return silent(found)

    if silent(found):
        with suppress(WaitTimeout):
            wait_for("the machines to tell what they know", look, lambda left: not left, seconds=TELL_SECONDS)
    return found
