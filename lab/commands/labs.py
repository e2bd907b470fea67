"""``./inv labs``: every lab of this clone."""

from __future__ import annotations

from lab import console
from lab.context import open_lab
from lab.errors import LabError
from lab.project import FOLDER
from lab.providers.base import MachineState


def run() -> None:
    """A row a lab: provider, endpoint, how many of its machines run, how far it was brought."""
    names = sorted(path.parent.name for path in (FOLDER / ".lab").glob("*/definition.yaml"))
    if not names:
        console.say("no labs; ./inv up makes one")
        return
    console.table("", ["lab", "provider", "endpoint", "machines", "stage"], [_row(name) for name in names])


def _row(name: str) -> list[console.Cell]:
    if not (FOLDER / ".lab" / name / "site.json").is_file():
        return [name, *[console.dim("–")] * 2, console.dim("destroyed, its files are kept"), console.dim("–")]
    try:
        lab = open_lab(name)
        states, stage = lab.provider.states(), lab.state.stage
    except LabError as error:
        return [name, console.dim("–"), console.dim("–"), console.bad(error.message), console.dim("–")]
    running = sum(state is MachineState.RUNNING for state in states.values())
    shown = f"{running} of {len(states)} running"
    return [
        name,
        lab.provider.name,
        lab.topology.endpoint,
        console.good(shown) if running == len(states) else console.bad(shown),
        str(stage or "–"),
    ]
