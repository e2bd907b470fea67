"""Definitions as plain data: their fields by the paths that messages call them by, and one field changed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

Data = dict[str, Any]


def fields(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of a definition with the path that messages call it by, sections and items included."""
    if path:
        yield path, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from fields(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from fields(inner, f"{path}[{index}]")


def parts(path: str) -> list[str | int]:
    """``nodes[1].name`` as keys and indexes."""
    words = path.replace("[", ".").replace("]", "").split(".")
    return [int(word) if word.isdigit() else word for word in words]


def replaced(data: Data, path: str, value: Any) -> Data:
    """The data with another value in one field."""
    changed = copy.deepcopy(data)
    place: Any = changed
    *above, last = parts(path)
    for part in above:
        place = place[part]
    place[last] = value
    return changed
