"""Taking a lab off its host, also one of which only the name is left."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TypeVar

from lab import keypair
from lab.cache import Cache
from lab.command import LineSink
from lab.context import allocations
from lab.definition import Definition, load
from lab.errors import LabError
from lab.faults.ledger import still_open
from lab.host.files import UNFINISHED
from lab.plan.site import Site
from lab.providers import choice
from lab.providers.remains import Remains
from lab.state import ALLOCATIONS, MovedError, State, delete
from lab.topology import Topology, derive
from lab.usage import forget

Found = TypeVar("Found")

#: What an ``up`` wrote that is of no use without the machines.
MADE_BY_UP = (
    "ssh_config",
    keypair.FILE,
    "kubeconfig",
    "founded",
    "site.json",
    ALLOCATIONS,
    "stage",
    "faults.json",
    "borrowed",
    "vagrant",
    ".vagrant",
)


def remove(state: State, sink: LineSink) -> list[str]:
    """Remove what a lab has on this host; returns what that was, in words. Nothing there is no error."""
    site = _read(state.load_site, sink)
    definition = _read(lambda: load(state.definition), sink) if state.definition.is_file() else None
    topology = _read(lambda: _topology(definition, state, site), sink)
    if site is not None and topology is not None:
        removed = choice.make(site, topology).remove_all(sink)
    else:
        # Never brought up, or somebody removed the lab's folder: what there may be is still known by the lab's names.
        removed = Remains(state.identity, site, definition).remove_all(sink)
    shutil.rmtree(state.sockets, ignore_errors=True)
    forget(Cache.default().root, state.identity.prefix)
    for unfinished in state.folder.glob(UNFINISHED):
        unfinished.unlink()  # a write that was killed: it may hold the administrator's credential
    _forget_open(state, sink)
    for name in MADE_BY_UP:
        delete(state.folder / name)
    return removed


def _topology(definition: Definition | None, state: State, site: Site | None) -> Topology | None:
    """That of a lab of which all can be read."""
    if definition is None or site is None:
        return None
    return derive(definition, site.driver, allocations(definition, state))


def _forget_open(state: State, sink: LineSink) -> None:
    """Faults go with the machines that have them."""
    for one in still_open(state):
        sink(f"forgotten with the lab, and not healed: {one.what}")


def _read(read: Callable[[], Found], sink: LineSink) -> Found | None:
    """What was read, None when it is damaged, which is said."""
    try:
        return read()
    except MovedError:
        raise  # by the names of this folder nothing would be found, and what tells the right ones would be deleted
    except LabError as error:
        sink(f"what the lab was made of cannot be read, so that it is looked for by its name: {error.message}")
        return None
