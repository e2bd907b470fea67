"""``./inv destroy``."""

from __future__ import annotations

import time

from lab import console
from lab.context import find
from lab.operations.removal import remove


def run(name: str, definition: str, *, everything: bool) -> None:
    """Remove the lab's machines, network and daemons; keep runs and rendered files unless ``everything``."""
    state = find(name, definition)
    started = time.monotonic()
    kept = state.folder.is_dir()
    with state.lock():
        removed = remove(state, console.say)
        if everything and kept:
            state.clear()
            removed.append(str(state.folder))
    if removed:
        console.say(f"lab {state.identity.name}: removed in {time.monotonic() - started:.1f} s")
    else:
        console.say(f"lab {state.identity.name}: nothing to remove")
