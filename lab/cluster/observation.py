"""What each machine knows, asked of all machines at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.definition.driver import EMULATION
from lab.errors import LabError
from lab.machine import Machine
from lab.parallel import workers
from lab.topology import Node, Topology

OBSERVER = Path(__file__).with_name("observer.py")

#: Seconds that one machine is given to answer: the observer's own limits are two seconds a question.
ASK_SECONDS = 15.0

#: The same for an emulated machine: with all of the host's processors busy starting Python alone took it 16 and more.
EMULATED_ASK_SECONDS = 60.0

#: What the observer printed on one machine; {"unreachable": reason} when it could not be asked.
Observation = Mapping[str, Any]


def ask(machine: Machine, node: Node, vip: str, seconds: float = ASK_SECONDS) -> Observation:
    """Ask one machine; never raises, because a machine that does not answer is an observation too."""
    program = OBSERVER.read_text()
    script = f"python3 - \"$@\" <<'OBSERVER'\n{program}\nOBSERVER\n"
    try:
        result = machine.run(script, [vip, node.role, str(node.address)], timeout=seconds, label="observe").check()
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
