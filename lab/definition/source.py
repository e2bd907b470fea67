"""Reading YAML so that every value keeps the line on which it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from lab.definition.problem import Problem

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Source:
    """A file's data as plain Python values, and the line (from 1) of each of its fields."""

    data: Any
    lines: dict[Path, int]


class Broken(Exception):
    """The text is no YAML at all; ``problem`` says where and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def read(text: str) -> Source:
    """Parse one YAML document. Raises Broken with line and column."""
    yaml = YAML(typ="rt", pure=True)
    yaml.allow_duplicate_keys = False
    try:
        raw = yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        said = (error.problem or error.context or "not YAML").strip().splitlines()[0]
        right = "each field once" if "duplicate key" in said else "mind indentation, quotes and brackets there"
        raise Broken(Problem("", f"broken YAML{where}: {said}", right, line=mark.line + 1 if mark else 0)) from error
    except (YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        # ruamel lets a few malformed scalars and tags escape as Python's own errors.
        said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise Broken(Problem("", f"broken YAML: {said}", "YAML with plain values")) from error
    lines: dict[Path, int] = {}
    return Source(_plain(raw, (), lines, frozenset()), lines)


def _plain(value: Any, path: Path, lines: dict[Path, int], above: frozenset[int]) -> Any:
    """The value without ruamel's own types; an alias that contains itself becomes nothing."""
    if id(value) in above:
        return None
    if isinstance(value, CommentedMap):
        within = above | {id(value)}
        plain: dict[Any, Any] = {}
        for key in value:
            name = str(key)
            marks = value.lc.data.get(key) if value.lc.data else None
            if marks is not None:
                lines[(*path, name)] = marks[0] + 1
            plain[name] = _plain(value[key], (*path, name), lines, within)
        return plain
    if isinstance(value, CommentedSeq):
        within = above | {id(value)}
        items = []
        for index, item in enumerate(value):
            marks = value.lc.data.get(index) if value.lc.data else None
            if marks is not None:
                lines[(*path, index)] = marks[0] + 1
            items.append(_plain(item, (*path, index), lines, within))
        return items
    if isinstance(value, bool) or value is None:
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def spelled(path: Path) -> str:
    """A path as the definition spells it: ``nodes[1].address``."""
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else str(part)
    return out
