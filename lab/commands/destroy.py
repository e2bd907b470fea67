"""``./inv destroy``."""

from __future__ import annotations

import os
import shutil
import time

from lab import console
from lab.command import LineSink
from lab.context import find
from lab.definition import load
from lab.errors import LabError
from lab.providers import choice
from lab.state import State
from lab.topology import derive

#: What an ``up`` wrote that is of no use without the machines.
MADE_BY_UP = ("ssh_config", "kubeconfig", "site.json", "stage", "faults.json", "vagrant", ".vagrant")


def run(name: str, definition: str, *, everything: bool) -> None:
    """Remove the lab's machines, network and daemons; keep runs and rendered files unless ``everything``."""
    state = find(name, definition)
    started = time.monotonic()
    kept = state.folder.is_dir()
    with state.lock():
        removed = remove(state, console.say)
        if everything and kept:
            removed.append(str(state.folder))
    if everything or not kept:
        shutil.rmtree(state.folder)
    if removed:
        console.say(f"lab {state.identity.name}: removed in {time.monotonic() - started:.1f} s")
    else:
        console.say(f"lab {state.identity.name}: nothing to remove")


def remove(state: State, sink: LineSink) -> list[str]:
    """Remove what a lab has on this host; returns what that was, in words. Nothing there is no error."""
    removed: list[str] = []
    try:
        site = state.load_site()
        topology = derive(load(state.definition)) if state.definition.is_file() else None
    except LabError as error:
        sink(f"what the lab was made of cannot be read, so that it is looked for by its name: {error.message}")
        site, topology = None, None
    if site is not None and topology is not None:
        removed = choice.make(site, topology).remove_all(sink)
    elif os.geteuid() == 0:
        # Somebody removed the lab's folder: containers and network are still known by the lab's names.
        removed = choice.unknown_containers(state.identity).remove_all(sink)
    shutil.rmtree(state.sockets, ignore_errors=True)
    for unfinished in state.folder.glob(".*.new"):
        unfinished.unlink()  # a write that was killed: it may hold the administrator's credential
    for name in MADE_BY_UP:
        path = state.folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return removed
