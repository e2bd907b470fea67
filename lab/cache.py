"""What is expensive to make is made once, outside the clone, under a key of our own inputs.

An entry is a folder. It is built in a hidden sibling, described by a manifest that is written last, and moved into
place by one rename: an entry that exists is whole. What a killed build left behind is removed by the next one.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.command import LineSink, Note
from lab.contents import differences, listing
from lab.errors import LabError
from lab.host.locks import locked
from lab.usage import user_of

#: Builds one entry's contents into the folder it is given; returns what the manifest shall say of it (versions).
Builder = Callable[[Path], Mapping[str, object]]

MANIFEST = "manifest.json"

#: Version of the manifest's own layout; entries of another layout are built anew (it is part of the key).
LAYOUT = 1

#: Hexadecimal digits of the key that an entry's folder is called after (64 bits).
KEY_LENGTH = 16

#: Seconds to wait for another process that builds the same entry: longer than the longest build on a slow machine.
LOCK_TIMEOUT = 3600.0

GIB = 1 << 30

#: What helps against a damaged entry.
REPAIR = "run the command again with --refresh to build it anew"


class CacheError(LabError):
    """An entry of the cache is not what it was when it was made, or cannot be made."""


@dataclass(frozen=True)
class Cache:
    """The folder of everything that was built once."""

    root: Path

    @classmethod
    def default(cls, environ: Mapping[str, str] = os.environ) -> Cache:
        """$HALAB_CACHE, else $XDG_CACHE_HOME/halab, else ~/.cache/halab (XDG base directory specification)."""
        if own := environ.get("HALAB_CACHE"):
            return cls(Path(own).absolute())
        if xdg := environ.get("XDG_CACHE_HOME"):
            return cls(Path(xdg).absolute() / "halab")
        return cls(Path(environ.get("HOME") or Path.home()).absolute() / ".cache" / "halab")

    def entry(self, kind: str, name: str, inputs: Mapping[str, str]) -> Entry:
        """The entry for exactly these inputs, whether it exists or not."""
        return Entry(self.root, kind, name, dict(inputs))

    def folders(self) -> list[Path]:
        """The folder of every entry that was built, whatever its inputs, sorted."""
        return sorted(file.parent for file in self.root.glob(f"*/[!.]*/{MANIFEST}"))


@dataclass(frozen=True)
class Entry:
    """One built thing. ``inputs`` are all that decides what it contains; other inputs are another entry."""

    root: Path
    kind: str
    name: str
    inputs: Mapping[str, str]

    @property
    def key(self) -> str:
        """Hash of the inputs."""
        text = json.dumps([LAYOUT, self.kind, self.name, sorted(self.inputs.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]

    @property
    def path(self) -> Path:
        """Where it lies once it is built."""
        return self.root / self.kind / f"{self.name}-{self.key}"

    @property
    def ready(self) -> bool:
        """Has it been built? (A folder appears only when its build came to the end.)"""
        return (self.path / MANIFEST).is_file()

    @property
    def manifest(self) -> dict[str, Any]:
        """Inputs, versions and files. Raises CacheError when it cannot be read."""
        return read_manifest(self.path)

    def check(self, deep: bool = False) -> None:
        """Raise CacheError, naming each file that is missing or has changed (``deep``: reads all of them)."""
        check_folder(self.path, deep)

    def build(
        self, builder: Builder, refresh: bool = False, space: int = 0, sink: LineSink = lambda line: None
    ) -> Path:
        """Return the entry's folder, building it when it is absent, damaged or ``refresh`` is wanted.

        One process builds, others wait for it. ``space`` is the free disk space in bytes that a build needs. A damaged
        entry is built anew, and ``sink`` is told what was damaged. Raises CacheError for a full disk, an entry that a
        running machine uses, or a build elsewhere that does not end; what the builder raises passes through.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._sweep()
            if self.ready and not refresh and self._whole(sink):
                return self.path
            if self.path.exists() and (user := user_of(self.path, self.root)):
                raise CacheError(
                    f"{self.path} must be built anew, but {user} still uses it",
                    "destroy that lab first, in its own clone: ./inv destroy --lab NAME",
                )
            require_space(self.path.parent, space, f"{self.kind} {self.name}")
            unfinished = self._beside("building")
            unfinished.mkdir()
            try:
                versions = builder(unfinished)
                self._describe(unfinished, versions)
                self._put(unfinished)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise self._full() from error
                raise
            except LabError as error:
                if "no space left on device" in str(error).lower():
                    raise self._full() from error
                raise
            finally:
                if unfinished.exists():
                    remove(unfinished)
        return self.path

    def _full(self) -> CacheError:
        free = shutil.disk_usage(self.root).free
        return CacheError(
            f"the disk of {self.root} ran full while {self.kind} {self.name} was built ({free / GIB:.1f} GiB free)",
            "free some space, or set HALAB_CACHE to a folder on another disk; nothing half-built was kept",
        )

    def _whole(self, sink: LineSink) -> bool:
        try:
            self.check()
        except CacheError as error:
            sink(Note(f"{error.message}; building it anew"))
            return False
        return True

    def _beside(self, purpose: str) -> Path:
        return self.path.parent / f".{self.path.name}.{purpose}"

    def _locked(self) -> AbstractContextManager[None]:
        busy = CacheError(
            f"another process has been building {self.kind} {self.name} for more than {LOCK_TIMEOUT:.0f} s",
            f"look who holds {self._beside('lock')}",
        )
        return locked(self._beside("lock"), LOCK_TIMEOUT, busy)

    def _sweep(self) -> None:
        """Remove what a killed build of this entry left (we hold the lock, so nobody works there)."""
        for purpose in ("building", "old"):
            if self._beside(purpose).exists():
                remove(self._beside(purpose))

    def _describe(self, folder: Path, versions: Mapping[str, object]) -> None:
        manifest = {
            "kind": self.kind,
            "name": self.name,
            "key": self.key,
            "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "inputs": dict(sorted(self.inputs.items())),
            "versions": dict(versions),
            "files": listing(folder),
        }
        with (folder / MANIFEST).open("w") as file:
            json.dump(manifest, file, indent=1, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())

    def _put(self, folder: Path) -> None:
        """Move the finished folder into place; data first: not even a power cut shall leave a named but empty one."""
        os.sync()
        old = self._beside("old")
        if self.path.exists():
            self.path.rename(old)
        folder.rename(self.path)
        descriptor = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if old.exists():
            remove(old)


def read_manifest(folder: Path) -> dict[str, Any]:
    """What the manifest of an entry's folder says. Raises CacheError when it cannot be read."""
    try:
        content = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise CacheError(f"{folder / MANIFEST}: {error}", REPAIR) from error
    if not isinstance(content, dict) or not isinstance(content.get("files"), dict):
        raise CacheError(f"{folder / MANIFEST} is no manifest", REPAIR)
    return content


def check_folder(folder: Path, deep: bool = False) -> None:
    """Raise CacheError, naming each file of an entry's folder that is missing or has changed (``deep``: reads all)."""
    wrong = list(differences(folder, read_manifest(folder)["files"], deep))
    if wrong:
        shown = "\n".join(f"  {line}" for line in wrong[:10])
        more = f"\n  … and {len(wrong) - 10} more" if len(wrong) > 10 else ""
        raise CacheError(f"{folder} is damaged:\n{shown}{more}", REPAIR)


def check_around(path: Path) -> None:
    """Check the entry in which ``path`` lies, or that it is. Raises CacheError when it is damaged or gone."""
    entry = next((folder for folder in (path, *path.parents) if (folder / MANIFEST).is_file()), None)
    if entry is None or not path.exists():
        raise CacheError(f"{path} is gone", REPAIR)
    check_folder(entry)


def require_space(folder: Path, space: int, what: str) -> None:
    """Raise CacheError when fewer than ``space`` bytes are free on the disk of ``folder``."""
    free = shutil.disk_usage(folder).free
    if free < space:
        raise CacheError(
            f"building {what} needs {space / GIB:.1f} GiB in {folder}, but only {free / GIB:.1f} GiB are free",
            "free some space, or set HALAB_CACHE to a folder on another disk",
        )


def remove(path: Path) -> None:
    """Remove a folder with all it contains, even where folders in it are not writable."""

    def unlock(_function: Callable[..., object], name: str, _info: object) -> None:
        stuck = Path(name)
        stuck.parent.chmod(0o700)
        if stuck.is_dir() and not stuck.is_symlink():
            stuck.chmod(0o700)
            shutil.rmtree(stuck)
        else:
            stuck.unlink(missing_ok=True)

    shutil.rmtree(path, onerror=unlock)
