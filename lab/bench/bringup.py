"""How long a lab takes to come up: rounds of ``up`` and ``destroy`` of a lab of its own, cache warm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lab.bench.processors import worked
from lab.bringup import Bringup
from lab.definition import Definition
from lab.errors import LabError
from lab.interrupts import Open, held, unbroken
from lab.model.functions import Function
from lab.plan.steps import STEPS
from lab.siting import make_site
from lab.stage import Stage
from lab.state import State
from lab.timeline import Listener, Phase, Timeline

#: The phases that are kubeadm's own time.
KUBEADM = frozenset(step.name for step in STEPS if step.once is not None)


@dataclass(frozen=True)
class UpBench:
    """``text`` is what ``definition`` was read from. ``remove`` takes the lab away again; ``state`` must be that of a
    lab made for the bench alone.
    """

    definition: Definition
    text: str
    state: State
    provider: str
    listener: Listener
    remove: Callable[[State], object]

    def run(self, rounds: int) -> Iterator[dict[str, float]]:
        """The figures of each round, in seconds, as it is done: one a phase, and what bounds them (see figures).

        What the cache lacks is built before the first. Raises LabError when the lab exists already, and for a round
        that failed, whose lab stays to be looked at.
        """
        name = self.state.identity.name
        if self.state.load_site() is not None:
            raise LabError(f"there is a lab {name} already", f"./inv destroy --lab {name}")
        warm = Timeline(self.listener)
        make_site(self.definition, self.state.identity, self.provider, Stage.WORKERS, warm, refresh=False)
        for number in range(1, rounds + 1):
            try:
                yield self._round()
            except LabError as error:
                stays = f"its lab is as it was then: ./inv logs --lab {name}; ./inv destroy --lab {name}"
                error.message = f"round {number} failed: {error.message}"
                error.hint = f"{error.hint}; {stays}" if error.hint else stays
                raise

    def _round(self) -> dict[str, float]:
        timeline, before = Timeline(self.listener), worked()
        work = Bringup(self.definition, self.text, self.state, self.provider, Stage.WORKERS, timeline)
        try:
            work.run()
        except LabError:
            raise
        except BaseException:
            name = self.state.identity.name
            with held(lambda: [Open(f"lab {name} of this bench", f"./inv destroy --lab {name}")]), unbroken():
                self.remove(self.state)
            raise
        total, processors = timeline.elapsed, worked() - before
        removal = Timeline(self.listener)
        with removal.phase("destroy"):
            self.remove(self.state)
        members = [node.name for node in self.definition.nodes if Function.ETCD in node.functions]
        return {**figures(timeline.phases, members, total, processors), "destroy": removal.elapsed}


def figures(phases: Sequence[Phase], members: Sequence[str], total: float, processors: float) -> dict[str, float]:
    """A round as figures: its phases, then what bounds their sum: kubeadm, which admits one of etcd's
    ``members`` after another, and the time that a processor worked on average. Pure."""
    each = {f"{phase.machine or 'host'} {phase.name}": phase.duration for phase in phases}
    in_a_row = sum(phase.duration for phase in phases if phase.machine in members and phase.name in KUBEADM)
    return {**each, "total": total, "of it kubeadm, master after master": in_a_row, "of it processors busy": processors}
