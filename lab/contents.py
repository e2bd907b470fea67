"""What a folder contains, in figures that tell later whether it still does."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path


def listing(folder: Path) -> dict[str, dict[str, object]]:
    """Size and SHA-256 of every regular file below ``folder`` (links, devices and sockets are not listed), sorted."""
    found = {}
    for path in sorted(_regular(folder)):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found[str(path.relative_to(folder))] = {
            "size": path.stat().st_size,
            "mtime_ns": path.stat().st_mtime_ns,
            "sha256": digest,
        }
    return found


def differences(folder: Path, files: Mapping[str, Mapping[str, object]], deep: bool) -> Iterator[str]:
    """What of ``files`` is not as recorded, a line a file: missing, another size, other contents.

    Contents are read of files that were written since, and ``deep`` of all.
    """
    for name, recorded in files.items():
        path = folder / name
        try:
            status = path.lstat()
        except OSError as error:
            yield f"{name}: missing ({error.strerror})"
            continue
        if not stat.S_ISREG(status.st_mode):
            yield f"{name}: no regular file any more"
        elif status.st_size != recorded["size"]:
            yield f"{name}: {status.st_size} bytes, was {recorded['size']}"
        elif deep or status.st_mtime_ns != recorded.get("mtime_ns"):
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != recorded["sha256"]:
                    yield f"{name}: contents changed"


def _regular(folder: Path) -> Iterator[Path]:
    for base, _folders, names in os.walk(folder):
        for name in names:
            path = Path(base, name)
            if stat.S_ISREG(path.lstat().st_mode):
                yield path
