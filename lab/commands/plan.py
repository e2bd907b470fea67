"""``./inv plan``: render everything and show it; touches nothing but the lab's folder, and nothing there in use."""

from __future__ import annotations

from lab import console
from lab.bringup import refuse_another_shape
from lab.commands.up import check_provider
from lab.context import FOLDER, source_of
from lab.definition import Definition, load
from lab.errors import LabError
from lab.identity import Identity
from lab.plan import differing, render, write
from lab.plan.show import Table, overview
from lab.plan.site import Site
from lab.providers import choice
from lab.siting import foreseen
from lab.state import State
from lab.topology import derive

#: The folder of a plan that differs from the lab that is there.
PLANNED = "plan"


def run(definition: str, lab: str, provider: str) -> None:
    """Render into the lab's folder and show machines, promises and risks."""
    wanted = load(source_of(definition))
    check_provider(provider)
    state = State(Identity(lab or wanted.name, FOLDER))
    with state.lock():
        refuse_another_shape(state, wanted)
        # Without an ``up`` nothing was built yet, so that box and payload have no place so far.
        known = state.load_site()
        site = known or _foreseen(wanted, state.identity, provider or wanted.provider)
        topology = derive(wanted, site.driver)
        files = render(topology, site)
        changed = differing(files, state.folder)
        # The files of a lab that is there are those that its machines went through, and can be run by hand.
        beside = bool(known and changed)
        folder = state.folder / PLANNED if beside else state.folder
        write(files, folder)
    shown = overview(topology, site)
    console.table("", ["", ""], [[console.dim(name), value] for name, value in shown.facts])
    console.say("")
    _table("Machines", shown.nodes)
    _table("What the timers promise", shown.promises)
    for risk in shown.risks:
        console.warn(risk)
    told = f"not what lab {state.identity.name} has: ./inv up applies them" if beside else "changed"
    console.say(f"{len(files)} files in {folder}, {len(changed)} of them {told}", "green")


def _foreseen(definition: Definition, identity: Identity, wanted: str) -> Site:
    """What the lab would get on this host; where this host could make none, what the definition itself says."""
    provider = choice.choose(wanted, definition).provider
    try:
        return foreseen(definition, identity, provider)[0]
    except LabError as error:
        console.warn(f"no machine could be made on this host: {error.message}")
        driver = definition.libvirt.driver
        return Site(identity, provider, "" if driver == "auto" else driver, interface="eth1")


def _table(title: str, table: Table) -> None:
    console.table(title, table.heads, table.rows)
    console.say("")
