"""What ``up`` would make, rendered into the lab's folder; nothing there that is in use is touched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.bringup import refuse_another_shape
from lab.command import LineSink
from lab.context import allocations
from lab.definition import Definition
from lab.errors import LabError
from lab.identity import Identity
from lab.plan import differing, render, write
from lab.plan.show import Overview, overview
from lab.plan.site import Site, undecided
from lab.providers import choice
from lab.siting import foreseen
from lab.state import State
from lab.topology import derive

#: The folder of a plan that differs from the lab that is there.
PLANNED = "plan"


@dataclass(frozen=True)
class Planned:
    """What was rendered into ``folder``: so many ``files``, of which so many are new or ``changed``.

    ``beside`` says that they lie beside those of a lab that is there, and differ from them.
    """

    shown: Overview
    folder: Path
    files: int
    changed: int
    beside: bool


def plan(definition: Definition, state: State, provider: str, warn: LineSink) -> Planned:
    """Render it all. ``provider`` is the one asked for: auto, lxc or libvirt.

    Raises UsageError where the lab that is there cannot become this one.
    """
    with state.lock():
        refuse_another_shape(state, definition)
        # Without an ``up`` nothing was built yet, so that box and payload have no place so far.
        known = state.load_site()
        site = known or _foreseen(definition, state.identity, provider, warn)
        topology = derive(definition, site.driver, allocations(definition, state))
        files = render(topology, site)
        changed = differing(files, state.folder)
        # The files of a lab that is there are those that its machines went through, and can be run by hand.
        beside = bool(known and changed)
        folder = state.folder / PLANNED if beside else state.folder
        write(files, folder)
    return Planned(overview(topology, site), folder, len(files), len(changed), beside)


def _foreseen(definition: Definition, identity: Identity, wanted: str, warn: LineSink) -> Site:
    """What the lab would get on this host; where this host could make none, what the definition itself says."""
    provider = choice.choose(wanted, definition).provider
    try:
        return foreseen(definition, identity, provider)[0]
    except LabError as error:
        warn(f"no machine could be made on this host: {error.message}")
        driver = definition.libvirt.driver
        return undecided(identity, provider, "" if driver == "auto" else driver)
