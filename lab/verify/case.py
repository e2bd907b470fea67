"""What a case is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lab.faults.kinds import kind_of
from lab.faults.spec import Fault
from lab.providers.base import Capability
from lab.verify.checks import Check
from lab.verify.probes import Probe
from lab.verify.stage import Stage
from lab.verify.view import LabView

#: Something that a case does, or waits for.
Action = Callable[[Stage], None]


@dataclass(frozen=True)
class Aimed:
    """A fault whose targets are chosen in the steady state, by ``at``."""

    kind: str
    at: Callable[[Stage], tuple[str, ...]]
    parameters: Mapping[str, float | str] = field(default_factory=dict)

    def fault(self, stage: Stage) -> Fault:
        """The fault, aimed. Raises LabError where nothing can be aimed at."""
        return Fault(self.kind, self.at(stage), self.parameters)


@dataclass(frozen=True)
class Needs:
    """What a lab must have: a cluster, or so many ``masters`` that something is left which can take over."""

    kubernetes: bool = False
    masters: int = 2


@dataclass(frozen=True, kw_only=True)
class Case:
    """One experiment: steady state, faults, what is done and waited for ``meanwhile``, heal, and ``afterwards``.

    ``shows`` says in a sentence what must be seen; ``headline`` is the check whose figures stand for the case. ``tags``
    are what it is chosen by where it is not named.
    """

    name: str
    title: str
    shows: str
    headline: str
    faults: tuple[Aimed, ...] = ()
    probes: tuple[Probe, ...]
    meanwhile: tuple[Action, ...] = ()
    afterwards: tuple[Action, ...] = ()
    checks: tuple[Check, ...]
    tags: frozenset[str] = frozenset()
    needs: Needs = Needs()

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What its faults need of a provider."""
        return frozenset[Capability]().union(*(kind_of(aimed.kind).needs for aimed in self.faults))

    def lacks(self, view: LabView) -> str:
        """What keeps it from being run on a lab; "" for nothing."""
        if self.needs.kubernetes and not view.kubernetes:
            return "it needs a cluster, and this lab has none yet: ./inv up"
        if missing := self.capabilities - view.provider.capabilities:
            return f"provider {view.provider.name} cannot {', '.join(sorted(missing))}"
        if len(view.ranking) < self.needs.masters:
            return (
                f"it needs {self.needs.masters} masters, and this lab has {len(view.ranking)}: nobody could take over"
            )
        return ""
