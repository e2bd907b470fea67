"""What a case is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.providers.base import Capability
from lab.verify.checks import Check
from lab.verify.stage import Stage


@dataclass(frozen=True)
class Case:
    """One experiment: steady state, fault, observations, heal, and the checks that judge the record of it.

    ``shows`` says in a sentence what must be seen. ``fault`` is its name in faults.py ("" for none), for the oracle.
    ``masters`` is how many there must be at least, for something to be left that can take over.
    ``run`` is called in the steady state, makes the fault (by ledger.applied) and returns when all was observed.
    """

    name: str
    title: str
    shows: str
    fault: str
    headline: str
    checks: tuple[Check, ...]
    run: Callable[[Stage], None]
    kubernetes: bool = False
    masters: int = 2
    needs: frozenset[Capability] = frozenset()
    lease: str = ""
