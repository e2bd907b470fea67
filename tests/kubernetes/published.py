"""The fields that Kubernetes' configuration files have, as published, and what of a document they do not allow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lab.kubernetes.release import Release

#: The oldest release whose kubelets and kube-proxies read what is written down of today's.
TODAY = (1, 30)

SCALARS = {"text": str, "truth": bool, "whole": int, "number": (int, float), "duration": str, "anything": object}


@cache
def published() -> dict[str, dict[str, dict[str, Any]]]:
    """Group → type → field → what it holds (see fields.yaml)."""
    found: dict[str, dict[str, dict[str, Any]]] = YAML(typ="safe").load(Path(__file__).with_name("fields.yaml"))
    return found


def wrong(document: Mapping[str, Any], release: Release) -> list[str]:
    """What a release's document has that its kind does not, a sentence a field; [] for nothing."""
    group = str(document["apiVersion"])
    kubeadms = group.startswith("kubeadm.")
    of = group if kubeadms or release.minor >= TODAY else f"{group} of 1.20"
    return list(_wrong(document, document["kind"], published()[of], ""))


def _wrong(value: Any, expected: Any, types: Mapping[str, Any], path: str) -> Iterator[str]:
    if isinstance(expected, list):
        if not isinstance(value, list):
            yield f"{path} is no list"
            return
        for item in value:
            yield from _wrong(item, expected[0], types, f"{path}[]")
    elif expected in SCALARS if isinstance(expected, str) else False:
        if not isinstance(value, SCALARS[expected]) or (isinstance(value, bool) and expected == "whole"):
            yield f"{path} is no {expected}: {value!r}"
        elif expected == "duration" and not re.fullmatch(r"([0-9]+(h|m|s|ms))+", value):
            yield f"{path} is no duration: {value!r}"
    elif not isinstance(value, Mapping):
        yield f"{path} is no mapping"
    else:
        fields = expected if isinstance(expected, Mapping) else types[expected]
        for name, part in value.items():
            inner = f"{path}.{name}" if path else str(name)
            if name not in fields and "*" not in fields:
                yield f"there is no {inner}"
                continue
            yield from _wrong(part, fields.get(name, fields.get("*")), types, inner)
