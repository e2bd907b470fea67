"""How long a lab takes to come up: rounds of ``up`` and ``destroy`` of a lab of its own, cache warm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.bench.figures import Spread, collect
from lab.bringup import Bringup
from lab.command import Note
from lab.definition import Definition
from lab.errors import LabError
from lab.stage import Stage
from lab.state import State
from lab.timeline import Listener, Timeline


@dataclass(frozen=True)
class UpBench:
    """``remove`` takes the lab away again; ``state`` must be that of a lab made for the bench alone."""

    definition: Definition
    source: Path
    state: State
    provider: str
    listener: Listener
    remove: Callable[[State], object]

    def run(self, rounds: int) -> dict[str, Spread]:
        """One spread a phase, and "total" and "destroy". Raises LabError when the lab exists already."""
        if self.state.load_site() is not None:
            raise LabError(
                f"there is a lab {self.state.identity.name} already", f"./inv destroy --lab {self.state.identity.name}"
            )
        done: list[dict[str, float]] = []
        for number in range(1, rounds + 1):
            try:
                done.append(self._round())
            except LabError as error:
                if not done:
                    raise
                self.listener.line("", Note(f"round {number} failed and ends the bench: {error.message}"))
                break
        return collect(done)

    def _round(self) -> dict[str, float]:
        timeline = Timeline(self.listener)
        work = Bringup(self.definition, self.source, self.state, self.provider, Stage.WORKERS, timeline)
        try:
            work.run()
            total = timeline.elapsed
        finally:
            removal = Timeline(self.listener)
            with removal.phase("destroy"):
                self.remove(self.state)
        figures = {f"{phase.machine or 'host'} {phase.name}": phase.duration for phase in timeline.phases}
        return {**figures, "total": total, "destroy": removal.elapsed}
