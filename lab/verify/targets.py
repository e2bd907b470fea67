"""Whom a fault is aimed at, chosen in the steady state."""

from __future__ import annotations

from collections.abc import Callable

from lab.errors import LabError
from lab.verify.stage import Stage

#: Seconds in which a lease's probe must have told who leads.
TOLD = 15.0


def holder(stage: Stage) -> tuple[str, ...]:
    """The master that holds the VIP."""
    return (stage.holder,)


def leader(lease: str) -> Callable[[Stage], tuple[str, ...]]:
    """The machine that holds a lease, which the case must have a probe of."""

    def found(stage: Stage) -> tuple[str, ...]:
        victim = stage.leader(lease, TOLD)
        if victim not in stage.view.machines:
            raise LabError(f"the lease {lease} is held by {victim}, which is no machine of this lab")
        return (victim,)

    return found
