"""The faults that an interrupted command left open, as ``up`` and ``resume`` find them."""

from __future__ import annotations

from collections.abc import Sequence

from lab.command import LineSink
from lab.context import Lab
from lab.operations.verification import view
from lab.verify.ledger import Ledger, heal_open


def heal(lab: Lab, settled: bool, sink: LineSink) -> None:
    """End the faults that an interrupted verification left open; those inside the cluster once it is ``settled``."""
    heal_open(view(lab), sink, cluster=settled)


def forget(lab: Lab, nodes: Sequence[str], sink: LineSink) -> None:
    """Faults that an interrupted verification left open on machines that are no more went with them."""
    for entry in Ledger.of(view(lab)).forget(nodes):
        sink(f"{entry}, left open by an earlier command, went with its machine")
