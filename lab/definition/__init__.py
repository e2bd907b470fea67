"""What a person writes: the lab's definition, read from YAML, every mistake in it reported at once."""

from lab.definition.load import load, parse, written
from lab.definition.models import Definition
from lab.definition.problem import DefinitionError, Problem, Severity
from lab.definition.rules import check

__all__ = ["Definition", "DefinitionError", "Problem", "Severity", "check", "load", "parse", "written"]
