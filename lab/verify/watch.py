"""The VIP, watched from all masters while something is changed: how often it moves, how long nobody has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.command import LineSink, Note
from lab.errors import LabError
from lab.plan.change import Change
from lab.verify import holding
from lab.verify.checks import shown
from lab.verify.history import History, Records
from lab.verify.holding import Hold
from lab.verify.probes import HOLDERS_OF_VIP, Probes
from lab.verify.recorded import PROMPT, Recorded
from lab.verify.records import Header, Part
from lab.verify.runner import new_folder
from lab.verify.stage import Stage
from lab.verify.view import LabView

#: What the change's part of a history is called.
PART = "change"

#: Seconds for all masters to tell for the first time whether they hold the VIP.
FIRST_WORDS = 30.0

#: Seconds for which is watched before and after: what came just before and what comes late belongs to it.
MARGIN = 0.5


@dataclass(frozen=True)
class Passage:
    """What was seen. ``moves``: how often a master took the VIP; then the longest times without one and with two.

    Times are in seconds; ``doubt`` says why more may have happened than was seen, "" for nothing.
    """

    moves: int
    vacant: float
    double: float
    doubt: str


@contextmanager
def watched(view: LabView, folder: Path) -> Iterator[Callable[[], Passage]]:
    """Watch for the with-block and keep the history in ``folder``; afterwards the yielded function tells what was seen.

    Raises LabError when the watching itself cannot begin.
    """
    seen: list[Records] = []
    with History(folder / "history.jsonl") as history:
        history.begin(Part(PART))
        history.add(Header(name=PART, ranking=tuple(node.name for node in view.ranking)))
        probes = Probes(view, history)
        stage = Stage(view, history, probes, lambda line: None)
        try:
            probes.clocks(*(node.name for node in view.ranking))
            probes.start(HOLDERS_OF_VIP)
            if not history.wait(stage.all_told, FIRST_WORDS):
                raise LabError(f"not all masters told within {FIRST_WORDS:.0f} s whether they hold the VIP")
            stage.phase("steady")
            stage.watch(MARGIN)
            try:
                yield lambda: passage(Recorded(seen[0]))
            finally:
                stage.watch(MARGIN)
                stage.phase("end")
        finally:
            probes.stop()
            seen.append(history.look(Records.copy))


@contextmanager
def watching(view: LabView, planned: Change, sink: LineSink) -> Iterator[None]:
    """Watch a change of the load balancer, and tell the sink what was seen beside what was promised.

    A change that cannot be watched goes on, and that is told too.
    """
    with ExitStack() as stack:
        try:
            seen = stack.enter_context(watched(view, new_folder(view, "change")))
        except LabError as error:
            sink(Note(f"what the change does to the VIP is not measured: {error.message}"))
            seen = None
        yield
    if seen is not None:
        sink(Note(told(seen(), planned)))


def _lateness(held: Sequence[Hold]) -> str:
    """Who was watched the latest when it took the VIP or let go of it; "" when everybody was in time."""
    late, node = max(((change.late, h.node) for h in held for change in (h.taken, h.given)), default=(0.0, ""))
    return f"{node} was watched up to {shown(late)} late" if late > PROMPT else ""


def told(seen: Passage, planned: Change) -> str:
    """What was seen beside what was promised, in one line."""
    moves = {0: "no move", 1: "one move"}.get(seen.moves, f"{seen.moves} moves")
    kept = seen.moves <= planned.moves and seen.vacant <= planned.vacant
    beside = f"{'as' if kept else 'not as'} promised: {planned}"
    doubt = f" ({seen.doubt})" if seen.doubt else ""
    return f"the load balancer has changed: {moves} of the VIP, {shown(seen.vacant)} without a holder; {beside}{doubt}"


def passage(recorded: Recorded) -> Passage:
    """What the records of a watched change say. Pure; raises LabError for a record without an end."""
    start, end = recorded.phase("steady"), recorded.phase("end")
    if start is None or end is None:
        raise LabError("the record of the change has no end")
    held = holding.holds(recorded, end)
    parts = holding.segments(held, start, end)
    nobody = max((run.length for run in holding.runs(parts, several=False)), default=0.0)
    several = max((run.length for run in holding.runs(parts, several=True)), default=0.0)
    blind = holding.blind(recorded, start, end)
    worst = max(blind, key=lambda gap: gap.end - gap.start, default=None)
    doubt = f"{worst.node} was not observed for {worst.end - worst.start:.1f} s" if worst else _lateness(held)
    return Passage(sum(hold.start > start for hold in held), nobody, several, doubt)
