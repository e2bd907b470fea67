"""Plain data as YAML that people read: fields in their order, and above them what should be known of them. Pure."""

from __future__ import annotations

import io
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

#: Spaces that a part stands further to the right than what it is a part of.
INDENT = 2

#: The longest line of a comment, in characters.
WIDTH = 120

#: Texts that stand without quotes: words, paths, IPv4 addresses and amounts, which no reader, of YAML 1.1 or 1.2, takes
#: for anything but text. kubeadm's knows 1.1, where "on" and "y" are true (yaml.org/type/bool.html).
PLAIN = re.compile(
    r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[A-Z/][A-Z0-9/._-]*"
    r"|[0-9]+(?:\.[0-9]+){3}(?:/[0-9]+)?"
    r"|[0-9]+(?:s|Mi|%)",
    re.IGNORECASE | re.ASCII,
)


def text(documents: Iterable[Mapping[str, Any]], comments: Mapping[tuple[str, ...], str]) -> str:
    """The documents as one file.

    ``comments`` are by the names that lead to a field; an item of a list goes by its text or its "name".
    """
    yaml = YAML()
    yaml.indent(mapping=INDENT, sequence=2 * INDENT, offset=INDENT)
    yaml.width = sys.maxsize  # a text is a line: people look for it
    stream = io.StringIO()
    yaml.dump_all([_commented(document, comments, ()) for document in documents], stream)
    return stream.getvalue()


def _commented(value: Any, comments: Mapping[tuple[str, ...], str], path: tuple[str, ...]) -> Any:
    """The same as ruamel.yaml wants it, with what it is to write above."""
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) else DoubleQuotedScalarString(value)
    written: CommentedMap | CommentedSeq
    paths: dict[Any, tuple[str, ...]]
    if isinstance(value, Mapping):
        paths = {name: (*path, name) for name in value}
        written = CommentedMap((name, _commented(value[name], comments, inner)) for name, inner in paths.items())
    elif isinstance(value, list):
        paths = {index: (*path, _name(item)) for index, item in enumerate(value)}
        written = CommentedSeq(_commented(value[index], comments, inner) for index, inner in paths.items())
    else:
        return value
    for key, inner in paths.items():
        if inner in comments:
            indent = INDENT * len(path)
            lines = textwrap.wrap(comments[inner], WIDTH - indent - len("# "), break_on_hyphens=False)
            written.yaml_set_comment_before_after_key(key, before="\n".join(lines), indent=indent)
    return written


def _name(item: Any) -> str:
    return str(item.get("name", "")) if isinstance(item, Mapping) else str(item)
