"""A connection to libvirt, and what its errors mean. The library is loaded on first use: containers need none."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

from lab.errors import LabError

#: libvirt's error codes for "no such thing" (libvirt/virterror.h).
NO_DOMAIN = 42
NO_NETWORK = 43
NO_VOLUME = 50
NO_POOL = 49
NO_SNAPSHOT = 72
ABSENT = {NO_DOMAIN, NO_NETWORK, NO_VOLUME, NO_POOL, NO_SNAPSHOT}

#: Domain states (libvirt/libvirt-domain.h).
RUNNING, BLOCKED, PAUSED, SHUTDOWN, SHUTOFF, CRASHED = 1, 2, 3, 4, 5, 6


def library() -> Any:
    """libvirt-python, with its habit of printing every error switched off."""
    try:
        libvirt = importlib.import_module("libvirt")
    except ImportError as error:
        raise LabError(
            f"libvirt-python is not installed: {error}", "./inv builds it; it needs libvirt-dev, pkg-config and gcc"
        ) from error
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    return libvirt


@contextlib.contextmanager
def connect(uri: str, hint: str = "./inv doctor says what it needs") -> Iterator[Any]:
    """An open connection (a virConnect). libvirt's own errors inside come out as LabError.

    ``hint`` is what the reader can do when it does not answer.
    """
    libvirt = library()
    try:
        connection = libvirt.open(uri)
    except libvirt.libvirtError as error:
        raise LabError(f"libvirt at {uri} does not answer: {error}", hint) from error
    try:
        yield connection
    except libvirt.libvirtError as error:
        raise LabError(f"libvirt at {uri}: {error}") from error
    finally:
        connection.close()


def absent(error: Exception) -> bool:
    """Does this libvirt error say that the thing asked for does not exist?"""
    code = getattr(error, "get_error_code", None)
    return code is not None and code() in ABSENT


def named(things: list[Any], prefix: str) -> list[Any]:
    """Those of libvirt's objects that are this lab's: called ``prefix``, or ``prefix`` and a hyphen and more."""
    return [thing for thing in things if belongs(thing.name(), prefix)]


def belongs(name: str, prefix: str) -> bool:
    """Is this the name of a thing of the lab with this prefix?"""
    return name == prefix or name.startswith(f"{prefix}-")
