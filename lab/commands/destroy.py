"""``./inv destroy``."""

from __future__ import annotations

import shutil
import time

from lab import console
from lab.context import find
from lab.definition import load
from lab.providers import choice
from lab.state import State
from lab.topology import derive

#: What an ``up`` wrote that is of no use without the machines.
MADE_BY_UP = ("ssh_config", "kubeconfig", "site.json", "stage", "faults.json", "vagrant", ".vagrant")


def run(name: str, definition: str, *, everything: bool) -> None:
    """Remove the lab's machines, network and daemons; keep runs and rendered files unless ``everything``."""
    state = find(name, definition)
    started = time.monotonic()
    if not state.folder.is_dir():
        console.say(f"lab {state.identity.name}: nothing to remove")
        return
    with state.lock():
        removed = _remove(state)
        if everything:
            removed.append(str(state.folder))
    if everything:
        shutil.rmtree(state.folder)
    if removed:
        console.say(f"lab {state.identity.name}: removed in {time.monotonic() - started:.1f} s")
    else:
        console.say(f"lab {state.identity.name}: nothing to remove")


def _remove(state: State) -> list[str]:
    removed: list[str] = []
    site = state.load_site()
    if site is not None and state.definition.is_file():
        topology = derive(load(state.definition))
        removed = choice.make(site, topology).remove_all(console.say)
    shutil.rmtree(state.sockets, ignore_errors=True)
    for name in MADE_BY_UP:
        path = state.folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return removed
