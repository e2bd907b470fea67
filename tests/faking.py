"""A kind of fault that only notes what is done to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lab.errors import LabError
from lab.faults.kind import Hands, Kind, Moments
from lab.faults.kinds import KINDS
from lab.faults.spec import Fault

STOP = Fault("haproxy-stop", ("master1",))


@dataclass
class Fake:
    """Notes what is done, and fails where it is told to (``fails``: a step, or "step of NODE")."""

    fails: str = ""
    done: list[str] = field(default_factory=list)
    seen: Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        self.healed: list[Fault] = []

    def take_the_place_of(self, *names: str) -> None:
        """From now on faults of these kinds are this one."""
        for name in names or (STOP.kind,):
            KINDS[name] = Kind(name, self.begin, self.heal, prepare=self.prepare, litter=KINDS[name].litter)

    def _do(self, what: str, fault: Fault) -> None:
        self.done.append(what)
        self.seen()
        if self.fails in (what, f"{what} of {fault.kind}", f"{what} of {fault.targets[0]}"):
            raise LabError(f"{what} failed")

    def prepare(self, hands: Hands, fault: Fault) -> None:
        self._do("prepare", fault)

    def begin(self, hands: Hands, fault: Fault) -> Moments:
        self._do("begin", fault)
        return dict.fromkeys(fault.targets, 12.5)

    def heal(self, hands: Hands, fault: Fault) -> None:
        self._do("heal", fault)
        self.healed.append(fault)
