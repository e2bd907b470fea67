"""What a folder contains, in figures that tell later whether it still does."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path


def listing(folder: Path) -> dict[str, dict[str, object]]:
    """Every regular file and symbolic link below ``folder`` by its path, sorted; devices and sockets are not listed.

    Of a file: size in bytes, modification time, permissions and SHA-256; of a link: where it points.
    """
    found: dict[str, dict[str, object]] = {}
    for path in sorted(_entries(folder)):
        status = path.lstat()
        name = str(path.relative_to(folder))
        if stat.S_ISLNK(status.st_mode):
            found[name] = {"link": str(path.readlink())}
        elif stat.S_ISREG(status.st_mode):
            found[name] = {
                "size": status.st_size,
                "mtime_ns": status.st_mtime_ns,
                "mode": stat.S_IMODE(status.st_mode),
                "sha256": _digest(path),
            }
    return found


def differences(folder: Path, files: Mapping[str, Mapping[str, object]], deep: bool) -> Iterator[str]:
    """What of a listing is not as recorded, a line a name: missing, another size, permissions, target or contents.

    Contents are read of files that were written since, and ``deep`` of all.
    """
    for name, recorded in files.items():
        try:
            difference = _difference(folder / name, recorded, deep)
        except OSError as error:
            difference = f"missing ({error.strerror})"
        if difference:
            yield f"{name}: {difference}"


def _difference(path: Path, recorded: Mapping[str, object], deep: bool) -> str:
    status = path.lstat()
    if "link" in recorded:
        if not stat.S_ISLNK(status.st_mode):
            return "no link any more"
        return "" if str(path.readlink()) == recorded["link"] else f"points to {path.readlink()}"
    if not stat.S_ISREG(status.st_mode):
        return "no regular file any more"
    if status.st_size != recorded["size"]:
        return f"{status.st_size} bytes, was {recorded['size']}"
    mode = recorded.get("mode", stat.S_IMODE(status.st_mode))  # earlier versions did not record it
    if stat.S_IMODE(status.st_mode) != mode:
        return f"permissions {stat.S_IMODE(status.st_mode):o}, were {mode:o}"
    if (deep or status.st_mtime_ns != recorded.get("mtime_ns")) and _digest(path) != recorded["sha256"]:
        return "contents changed"
    return ""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entries(folder: Path) -> Iterator[Path]:
    for base, folders, names in os.walk(folder):
        yield from (Path(base, name) for name in (*folders, *names))
