"""From a file to a definition, or to all of its mistakes at once."""

from __future__ import annotations

import copy
import difflib
import io
import types
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lab.definition.fields import FIELD_ERROR, shown
from lab.definition.models import Definition
from lab.definition.problem import DefinitionError, Problem, Severity, touches
from lab.definition.rules import check
from lab.definition.source import Broken, Path, Source, read, spelled

#: A definition is a page or two; anything near this is another file altogether (bytes).
LARGEST = 1 << 20


def load(path: FilePath) -> Definition:
    """Read a definition from a file. Raises DefinitionError with every mistake in it."""
    return parse(written(path), str(path))


def written(path: FilePath) -> str:
    """What somebody wrote into a definition's file. Raises DefinitionError when there is no text in it to be read."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)  # of a device nobody knows beforehand how much there is
        if len(content) > LARGEST:
            raise DefinitionError(str(path), [Problem("", "larger than a megabyte", "a lab definition")])
        return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8").read()
    except FileNotFoundError:
        raise DefinitionError(str(path), [Problem("", "no such file", "one of configs/*.yaml")]) from None
    except UnicodeDecodeError as error:
        wrong = f"not a text file (byte {error.start} is no UTF-8)"
        raise DefinitionError(str(path), [Problem("", wrong, "YAML in UTF-8")]) from None
    except OSError as error:
        raise DefinitionError(str(path), [Problem("", error.strerror or str(error), "a readable file")]) from None


def parse(text: str, name: str = "(text)") -> Definition:
    """The same for a text; ``name`` is what messages call it."""
    try:
        source = read(text)
    except Broken as error:
        raise DefinitionError(name, [error.problem]) from None
    return judged(source, name)


def judged(source: Source, name: str = "(data)") -> Definition:
    """The same for data that was read already."""
    if source.data is None:
        raise DefinitionError(name, [Problem("", "empty: there is no definition in it", "at least nodes: […]")])
    if not isinstance(source.data, dict):
        wrong = f"{shown(source.data)} instead of fields"
        raise DefinitionError(name, [Problem("", wrong, "a mapping with at least nodes: […]")])
    definition, problems = _judge(source)
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise DefinitionError(name, problems)
    return definition


def _judge(source: Source) -> tuple[Definition, list[Problem]]:
    """Build the definition, and say all that is wrong with it.

    A field that is wrong by itself is set aside, so that the rules can judge the rest in the same go; what a rule says
    about a field that was set aside is a consequence, not a mistake of its own, and is left out.
    """
    data = copy.deepcopy(source.data)
    problems: list[Problem] = []
    aside: list[Path] = []
    definition: Definition | None = None
    while definition is None:
        try:
            definition = Definition.model_validate(data)
        except ValidationError as error:
            found = [_problem(details) for details in error.errors(include_url=False)]
            problems += [problem for _, problem in found]
            aside += [location for location, _ in found]
            for location, _ in found:
                _set_aside(data, location)
    unknown = [spelled(path) for path in aside]
    problems += [problem for problem in check(definition) if not _rests_on(problem, unknown)]
    lined = [replace(problem, line=_line(problem.path, source)) for problem in _once(problems)]
    return definition, sorted(lined, key=lambda problem: (problem.line == 0, problem.line))


def _once(problems: list[Problem]) -> list[Problem]:
    return list(dict.fromkeys(problems))


def _rests_on(problem: Problem, unknown: list[str]) -> bool:
    return any(touches(path, field) for path in (problem.path, *problem.also) for field in unknown)


def _line(path: str, source: Source) -> int:
    """The line of a field, or of the closest thing around it that stands in the file."""
    spelling = {spelled(known): line for known, line in source.lines.items()}
    while path:
        if path in spelling:
            return spelling[path]
        cut = max(path.rfind("."), path.rfind("["))
        path = path[:cut] if cut > 0 else ""
    return 0


def _set_aside(data: Any, location: Path) -> None:
    """Take a wrong value out, so that its default can stand in, or a made-up value where there is no default."""
    if location == ("nodes",):
        data["nodes"] = []
        return
    if location[0] == "nodes" and (len(location) == 2 or location[2:] in (("name",), ("role",))):
        node = data["nodes"][location[1]]
        kept = node if isinstance(node, dict) and len(location) > 2 else {}
        stand_in = {"name": f"stand-in-{location[1]}", "role": "worker"}
        wrong = location[2:] or ("name", "role")
        data["nodes"][location[1]] = {**stand_in, **kept, **{field: stand_in[str(field)] for field in wrong}}
        return
    *above, last = location
    for part in above:
        data = data[part]
    if isinstance(data, list):
        data[int(last)] = "stand-in"  # the only other list holds names
    else:
        del data[last]


def _problem(details: ErrorDetails) -> tuple[Path, Problem]:
    """One of pydantic's errors in the lab's own words, and the place of the value that is wrong."""
    location = tuple(part for part in details["loc"])
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    path = spelled(location)
    if kind == FIELD_ERROR:
        return location, Problem(path, str(context["wrong"]), str(context["right"]))
    if kind == "extra_forbidden":
        return location, Problem(path, "there is no such field", _nearest(location))
    if kind == "missing":
        right = description(location) or "give it a value"
        return location, Problem(path, "is missing", right)
    if kind == "literal_error":
        expected = str(context["expected"]).replace("'", "")
        return location, Problem(path, f"{shown(value)} is not one of the choices", expected)
    if kind in ("tuple_type", "list_type"):
        return location, Problem(path, f"{shown(value)} is not a list", description(location) or "a list")
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return location, Problem(path, f"{shown(value)} is not a mapping of fields", _known(location))
    return location, Problem(path, str(details["msg"]), description(location))


def _section(location: Path) -> type[BaseModel] | None:
    """The model that holds the fields below a place."""
    model: type[BaseModel] = Definition
    for part in location:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        inner = _model_in(field.annotation) if field is not None else None
        if inner is None:
            return None
        model = inner
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (tuple, Union, types.UnionType):
        return next((found for found in map(_model_in, get_args(annotation)) if found is not None), None)
    return None


def _known(location: Path) -> str:
    section = _section(location)
    return "fields: " + ", ".join(section.model_fields) if section is not None else "a mapping"


def _nearest(location: Path) -> str:
    """What the writer of an unknown field may have meant."""
    section = _section(location[:-1])
    if section is None:
        return ""
    close = difflib.get_close_matches(str(location[-1]), section.model_fields, n=1)
    return f"{close[0]}?" if close else _known(location[:-1])


def description(location: Path) -> str:
    """What a field is for, in its model's own words."""
    section = _section(location[:-1])
    field = section.model_fields.get(str(location[-1])) if section is not None and location else None
    return (field.description or "") if field is not None else ""
