"""What a node is there for: a set of functions. Code asks for a function, never for a role or a position."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Function(StrEnum):
    """One thing that a node does. The words are those of templates and of scripts on the machines."""

    CONTROL_PLANE = "control-plane"
    ETCD = "etcd"
    LOAD_BALANCER = "load-balancer"
    WORKER = "worker"


Functions = frozenset[Function]

EVERY_FUNCTION: Functions = frozenset(Function)

#: A definition's ``role`` is the short form of a set of functions: etcd is stacked, each master has a load balancer.
ROLES: Mapping[str, Functions] = {
    "master": frozenset({Function.CONTROL_PLANE, Function.ETCD, Function.LOAD_BALANCER}),
    "worker": frozenset({Function.WORKER}),
}


def short_form(functions: Functions) -> str:
    """What people call a node of these functions: its role, or where there is no such role all of them."""
    named = (role for role, meant in ROLES.items() if meant == functions)
    return next(named, "+".join(sorted(functions)))
