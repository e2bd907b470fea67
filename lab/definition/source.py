"""Reading YAML so that every value keeps the line on which it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from lab.definition.problem import Problem

Path = tuple[str | int, ...]

#: Values in a definition, each as often as it is referred to. A thousand nodes with all of their fields have as many.
MOST = 10_000


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
    reading = _Reading()
    return Source(reading.plain(raw, ()), reading.lines)


class _Reading:
    """Makes ruamel's values plain ones, and notes their lines."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self._seen = 0

    def plain(self, value: Any, path: Path, above: frozenset[int] = frozenset()) -> Any:
        """The value without ruamel's own types; an alias that contains itself becomes nothing.

        Raises Broken for half a character, and for more values than anybody writes: an alias is its value once more.
        """
        self._seen += 1
        if self._seen > MOST:
            raise Broken(Problem("", f"more than {MOST} values, each alias counted as what it stands for", "fewer"))
        if id(value) in above:
            return None
        within = above | {id(value)}
        if isinstance(value, CommentedMap):
            return {self._text(key, path): self.plain(value[key], self._at(value, key, path), within) for key in value}
        if isinstance(value, CommentedSeq):
            return [self.plain(item, self._at(value, index, path), within) for index, item in enumerate(value)]
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, bool) or value is None:
            return value
        for kind in (int, float):
            if isinstance(value, kind):
                return kind(value)
        return value

    def _at(self, section: CommentedMap | CommentedSeq, key: Any, path: Path) -> Path:
        """The path of a field, whose line is noted."""
        field = (*path, key if isinstance(section, CommentedSeq) else str(key))
        marks = section.lc.data.get(key) if section.lc.data else None
        if marks is not None:
            self.lines[field] = marks[0] + 1
        return field

    def _text(self, value: Any, path: Path) -> str:
        """A text of whole characters: YAML's escapes can write halves of one (surrogates), which no file holds."""
        text = str(value)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            wrong, line = f"{text[error.start]!a} is no character", self.lines.get(path, 0)
            raise Broken(Problem(spelled(path), wrong, "characters of Unicode", line=line)) from error
        return text


def spelled(path: Path) -> str:
    """A path as the definition spells it: ``nodes[1].address``."""
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else str(part)
    return out
