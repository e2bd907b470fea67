"""Rules between fields. Each is a function from a definition to problems; ``check`` asks them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lab.definition.models import Definition
from lab.definition.problem import Problem
from lab.definition.rules import networks, nodes, services, vip

Rule = Callable[[Definition], Iterable[Problem]]

RULES: tuple[Rule, ...] = (*nodes.RULES, *networks.RULES, *vip.RULES, *services.RULES)


def check(definition: Definition) -> list[Problem]:
    """All that is wrong with a definition whose fields are each right by themselves, errors and warnings."""
    return [problem for rule in RULES for problem in rule(definition)]
