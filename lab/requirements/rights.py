"""Who may do what a lab needs done."""

from __future__ import annotations

import os

from lab.cache import Cache
from lab.requirements.finding import Finding, Grade
from lab.requirements.paths import readable
from lab.requirements.scope import Scope
from lab.requirements.space import writable


def privileges(scope: Scope) -> Finding:
    """Root where the kernel, other owners' files or a daemon of the lab's own are needed; else libvirt's group does."""
    if os.geteuid() == 0:
        return Finding("privileges", "root", Grade.GOOD)
    if scope.containers:
        return Finding("privileges", "not root", Grade.BAD, "system containers need root: sudo ./inv up")
    if scope.daemon == "private":
        hint = "a libvirt daemon of the lab's own needs root: sudo ./inv up"
        return Finding("privileges", "not root", Grade.BAD, hint)
    if not scope.parts:
        hint = "enough with a system libvirt and membership in its group (libvirt)"
        return Finding("privileges", "not root", Grade.NOTE, hint)
    needs_root = f"building {scope.building()} needs root"
    if scope.topology.definition.machine.box.name:
        hint = f"enough for --until loadbalancer with a system libvirt and its group (libvirt); {needs_root}"
        return Finding("privileges", "not root", Grade.NOTE if scope.any_stage else Grade.BAD, hint)
    hint = f"{needs_root}; a public box (machine.box) and --until loadbalancer do not"
    return Finding("privileges", "not root", Grade.BAD, hint)


def folders(scope: Scope) -> Finding:
    """This user must be able to write in the lab's folder, and in the cache when something is to be built."""
    wanted = [scope.site.identity.state, *([Cache.default().root] if scope.parts else [])]
    closed = [readable(folder) for folder in wanted if not writable(folder)]
    if not closed:
        return Finding("folders", "can be written to", Grade.GOOD)
    hint = "what root made is root's: sudo ./inv up, or give the folder to this user"
    return Finding("folders", f"this user may not write in {' and '.join(closed)}", Grade.BAD, hint)
