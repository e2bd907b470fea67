"""The kinds of field that a definition has: each says by itself what is wrong with a value and what would be right."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

#: The type under which a field's own errors are found among pydantic's.
FIELD_ERROR = "halab_field"


def field_error(wrong: str, right: str) -> PydanticCustomError:
    """An error that carries both halves of a Problem."""
    return PydanticCustomError(FIELD_ERROR, "{wrong}", {"wrong": wrong, "right": right})


def shown(value: object) -> str:
    """A value as a message quotes it: short, and with its YAML kind where that is the mistake."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 60 else f'"{value[:57]}…"'
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return str(value)


def whole(low: int, high: int, unit: str = "") -> BeforeValidator:
    """A whole number within bounds; ``unit`` is named in messages."""
    right = f"a whole number from {low} to {high}" + (f" ({unit})" if unit else "")

    def checked(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise field_error(f"{shown(value)} is not a whole number", right)
        if not low <= value <= high:
            raise field_error(f"{value} is out of range", right)
        return value

    return BeforeValidator(checked)


def seconds(low: float, high: float) -> BeforeValidator:
    """A duration in seconds within bounds; kept to the millisecond, the finest unit that haproxy knows."""
    right = f"seconds, a number from {low:g} to {high:g}"

    def checked(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise field_error(f"{shown(value)} is not a number of seconds", right)
        if not low <= value <= high:  # also false for not-a-number
            raise field_error(f"{value} is out of range", right)
        if abs(value * 1000 - round(value * 1000)) > 1e-6:
            raise field_error(f"{value} is finer than a millisecond", right)
        return float(value)

    return BeforeValidator(checked)


def text(pattern: str, right: str, longest: int) -> BeforeValidator:
    """A string that matches ``pattern`` as a whole and has at most ``longest`` characters."""
    compiled = re.compile(pattern)

    def checked(value: Any) -> str:
        if not isinstance(value, str):
            kind = f"{shown(value)} is not a string"
            raise field_error(kind, f"{right} (in quotes)" if isinstance(value, (int, float)) else right)
        if len(value) > longest:
            raise field_error(f"{shown(value)} has {len(value)} characters", f"at most {longest} characters; {right}")
        if not compiled.fullmatch(value):
            raise field_error(f"{shown(value)} is not allowed", right)
        return value

    return BeforeValidator(checked)


def flag() -> BeforeValidator:
    """true or false, nothing that merely looks like it."""

    def checked(value: Any) -> bool:
        if not isinstance(value, bool):
            raise field_error(f"{shown(value)} is neither true nor false", "true or false")
        return value

    return BeforeValidator(checked)


def ipv4_address() -> BeforeValidator:
    """An IPv4 address."""
    right = "an IPv4 address such as 10.21.0.11"

    def checked(value: Any) -> IPv4Address:
        if isinstance(value, IPv4Address):
            return value
        if not isinstance(value, str):
            raise field_error(f"{shown(value)} is not an address", right)
        try:
            return IPv4Address(value)
        except AddressValueError:
            raise field_error(f"{shown(value)} is not an IPv4 address", right) from None

    return BeforeValidator(checked)


def ipv4_network(longest: int, shortest: int) -> BeforeValidator:
    """An IPv4 network whose prefix length lies from ``shortest`` to ``longest``."""
    bounds = f"a prefix length from /{shortest} to /{longest}"
    right = f"an IPv4 network with {bounds}, such as 10.21.0.0/24"

    def checked(value: Any) -> IPv4Network:
        if isinstance(value, IPv4Network):
            return value
        if not isinstance(value, str) or "/" not in value:
            raise field_error(f"{shown(value)} is not a network", right)
        try:
            parsed = IPv4Network(value, strict=False)
        except (AddressValueError, NetmaskValueError, ValueError):
            raise field_error(f"{shown(value)} is not an IPv4 network", right) from None
        if str(parsed.network_address) != value.partition("/")[0]:
            raise field_error(f"{shown(value)} has host bits set", str(parsed))
        if not shortest <= parsed.prefixlen <= longest:
            raise field_error(f"/{parsed.prefixlen} does not fit here", bounds)
        return parsed

    return BeforeValidator(checked)
