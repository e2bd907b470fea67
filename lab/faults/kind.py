"""What a kind of fault is: how it is done and undone, what is promised of it and how it is drawn.

A kind touches no machine by itself: what it does is said in terms of Hands, so that all but those is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lab.errors import LabError
from lab.faults.spec import Fault
from lab.oracle.failover import Promise
from lab.providers.base import Capability
from lab.topology import Topology


@dataclass(frozen=True)
class Situation:
    """What a promise is made of: the lab, whether a ``cluster`` runs on it, and the fault's own parameters."""

    topology: Topology
    cluster: bool = True
    parameters: Mapping[str, float | str] = field(default_factory=dict)


class Hands(Protocol):
    """What faults are done with. Everything has a deadline, and raises LabError where it fails or that passes."""

    def run(self, node: str, script: str, label: str) -> None:
        """Run a script as root on a machine."""

    def strike(self, node: str, command: str, label: str) -> float:
        """Run one command there; returns the moment just before it, by the machine's own clock (seconds, epoch)."""

    def cut(self, node: str) -> None:
        """Cut a machine's power."""

    def start(self, node: str) -> None:
        """Switch it on, and wait until it carries out commands."""

    def pause(self, node: str) -> None:
        """Let it stand still."""

    def unpause(self, node: str) -> None:
        """Let it go on, wait until it carries out commands, and set its clock right where that stood with it."""

    def delete_test_pods(self, node: str) -> None:
        """Let a master delete all pods that any case ever created."""


#: The moments at which machines were struck, each by its own clock, where that can be told.
Moments = Mapping[str, float]


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    ``prepare`` is what must be done before, so that ``begin`` is one instant. ``heal`` may be called at any time, also
    twice, also when the others got nowhere, and returns only when the machines are there again. ``promise`` is None
    where nothing is. ``on_holder``: is the promise about a VIP whose holder is struck? ``silences``: do the machines
    themselves stand still while it lasts? ``litter`` does no harm, and can be healed only in a cluster that answers.
    ``needs`` is what the provider must be able to do. ``told`` is how it is announced, ``drawn`` the style of its span
    in a report.
    """

    name: str
    begin: Callable[[Hands, Fault], Moments]
    heal: Callable[[Hands, Fault], None]
    promise: Callable[[Situation], Promise] | None = None
    prepare: Callable[[Hands, Fault], None] = lambda hands, fault: None
    on_holder: bool = True
    silences: bool = False
    litter: bool = False
    needs: frozenset[Capability] = frozenset()
    told: Callable[[Fault], str] = str
    drawn: str = "broken"


def each(fault: Fault, act: Callable[[str], None]) -> None:
    """Do something to every target, also where another one fails; raises LabError with all that failed."""
    errors = []
    for node in fault.targets:
        try:
            act(node)
        except LabError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise LabError("\n".join(error.message for error in errors), errors[0].hint)


def scripted(
    name: str,
    *,
    change: str,
    undo: str,
    before: str = "",
    promise: Callable[[Situation], Promise],
    on_holder: bool = True,
    told: Callable[[Fault], str] = str,
) -> Kind:
    """A fault inside machines, made of scripts; ``change`` is one command, whose instant is the moment."""

    def prepare(hands: Hands, fault: Fault) -> None:
        for node in fault.targets if before else ():
            hands.run(node, before, f"before of fault {name}")

    def begin(hands: Hands, fault: Fault) -> Moments:
        return {node: hands.strike(node, change, f"fault {name}") for node in fault.targets}

    def heal(hands: Hands, fault: Fault) -> None:
        each(fault, lambda node: hands.run(node, undo, f"heal of fault {name}"))

    return Kind(name, begin, heal, promise, prepare, on_holder=on_holder, told=told)
