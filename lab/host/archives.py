"""Members of tar archives that are made here, of nobody's: owner root, date 1970 unless one is given."""

from __future__ import annotations

import io
import tarfile


def add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644, mtime: int = 0) -> None:
    """Add a file. ``mtime`` is in seconds since 1970."""
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), mode, mtime
    archive.addfile(member, io.BytesIO(content))
