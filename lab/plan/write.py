"""Putting rendered files into a lab's folder: what is equal stays untouched, what is no longer rendered goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from lab.errors import LabError
from lab.host.files import write as write_file
from lab.plan.render import File

#: Remembers what the last rendering wrote, so that nothing else in the folder is ever removed.
RECORD = ".rendered.json"


def write(files: Mapping[str, File], folder: Path) -> list[str]:
    """Make the folder hold exactly these rendered files; returns the paths that were written or removed, sorted.

    Each file is written whole or not at all. Files that the rendering did not make (runs, logs) stay. Raises LabError
    when the folder cannot be written to.
    """
    for name in files:
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or name == RECORD:
            raise ValueError(f"not a path inside the lab's folder: {name}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = _known(folder)
        # Recorded before anything is written: an interrupted write is tidied up by the next one.
        write_file(folder / RECORD, json.dumps(sorted({*known, *files}), indent=0) + "\n")
        changed = [name for name, file in sorted(files.items()) if _put(folder / name, file)]
        changed += [name for name in sorted(known - set(files)) if _remove(folder, name)]
        write_file(folder / RECORD, json.dumps(sorted(files), indent=0) + "\n")
    except OSError as error:
        raise LabError(
            f"cannot write {error.filename or folder}: {error.strerror}", "room and permissions there?"
        ) from error
    return sorted(changed)


def differing(files: Mapping[str, File], folder: Path) -> list[str]:
    """The paths at which a folder does not hold what is rendered, sorted; touches nothing."""
    gone = {name for name in _known(folder) - set(files) if (folder / name).is_file()}
    return sorted(gone | {name for name, file in files.items() if not _says(folder / name, file)})


def _known(folder: Path) -> set[str]:
    try:
        data = json.loads((folder / RECORD).read_text())
    except FileNotFoundError:
        return set()
    except ValueError:
        return set()  # a damaged record costs nothing but the removal of files that are rendered no longer
    names = {name for name in data if isinstance(name, str)} if isinstance(data, list) else set()
    return {name for name in names if not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts}


def _put(path: Path, file: File) -> bool:
    """Write one file unless it says that already; tells whether it was written."""
    if _says(path, file):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, file.content, file.mode)
    return True


def _says(path: Path, file: File) -> bool:
    try:
        return path.read_bytes() == file.content.encode() and path.stat().st_mode & 0o7777 == file.mode
    except FileNotFoundError:
        return False


def _remove(folder: Path, name: str) -> bool:
    path = folder / name
    if not path.is_file():
        return False
    path.unlink()
    for parent in path.relative_to(folder).parents:
        if parent == Path() or any((folder / parent).iterdir()):
            break
        (folder / parent).rmdir()
    return True
