"""Where the machines are on their way through the table of steps, so that one can wait for what others do first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from lab.plan.steps import Step
from lab.provisioning.work import Work
from lab.topology import Node


class Walk:
    """``ways`` has for each machine, by its name, the steps that it goes through, in order.

    Where a machine fails, whoever waits for one of its steps fails too, with the same error.
    """

    def __init__(self, work: Work, ways: Mapping[str, Sequence[Step]]) -> None:
        self._work = work
        self._ways = ways
        self._ended: dict[tuple[str, str], Future[None]] = {
            (node, step.name): Future() for node, way in ways.items() for step in way
        }

    def go(self, node: Node, led: Collection[Step] = ()) -> None:
        """Lead one machine through its steps, but first wait until somebody else has ``led`` it through some."""
        try:
            self.wait([step.name for step in led], node.name)
            for step in self._ways[node.name]:
                if step in led:
                    continue
                self.wait(step.after)
                self._work.run(node, [step])
                self._end(self._ended[node.name, step.name])
        except BaseException as error:
            self.fail(error, node.name)
            raise

    def led(self, node: str, steps: Collection[Step]) -> None:
        """Somebody has led a machine through these steps of its way."""
        for future in self.of([step.name for step in steps], node):
            self._end(future)

    def wait(self, names: Collection[str], node: str = "") -> None:
        """Until steps of these names have ended on every machine that goes through them, or on one ``node`` alone."""
        for future in self.of(names, node):
            future.result()

    def of(self, names: Collection[str], node: str = "") -> list[Future[None]]:
        """The ends of these steps, on every machine or on one."""
        return [
            future for (owner, name), future in self._ended.items() if name in names and (not node or owner == node)
        ]

    def fail(self, error: BaseException, node: str = "") -> None:
        """Nothing more will end, on any machine or on one: nobody may wait for it any longer."""
        for (owner, _), future in self._ended.items():
            if not node or owner == node:
                self._end(future, error)

    @staticmethod
    def _end(future: Future[None], error: BaseException | None = None) -> None:
        with suppress(InvalidStateError):  # it has ended already: who came first was right
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
