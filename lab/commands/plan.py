"""``./inv plan``."""

from __future__ import annotations

from lab import console
from lab.cli import options
from lab.definition import load
from lab.identity import Identity
from lab.operations.planning import plan
from lab.plan.show import Table
from lab.project import FOLDER, definition_file
from lab.state import State


def run(definition: str, lab: str, provider: str) -> None:
    """Render into the lab's folder and show machines, promises and risks."""
    wanted = load(definition_file(definition))
    options.check_provider(provider)
    state = State(Identity(lab or wanted.name, FOLDER))
    made = plan(wanted, state, provider or wanted.provider, console.warn)
    shown = made.shown
    console.table("", ["", ""], [[console.dim(name), value] for name, value in shown.facts])
    console.say("")
    _table("Machines", shown.nodes)
    _table("What the timers promise", shown.promises)
    for risk in shown.risks:
        console.warn(risk)
    told = f"not what lab {state.identity.name} has: ./inv up applies them" if made.beside else "changed"
    console.say(f"{made.files} files in {made.folder}, {made.changed} of them {told}", "green")


def _table(title: str, table: Table) -> None:
    console.table(title, table.heads, table.rows)
    console.say("")
