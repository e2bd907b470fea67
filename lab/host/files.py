"""Files that are there whole or not at all, whatever ends the program meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Of files that were begun and never finished, whoever removes the folder's contents.
UNFINISHED = ".*.new"


@contextmanager
def begun(file: Path) -> Iterator[Path]:
    """A path beside ``file``, at which nothing is, for what becomes it once the with-block ends well."""
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    yield new
    new.replace(file)


def write(file: Path, text: str, mode: int = 0o644, *, durable: bool = False) -> None:
    """Make the file say ``text``. Nobody without the right ``mode`` gives can read it, not even while it is written.

    With ``durable`` it is on the disk when this returns, and outlives a power cut.
    """
    with begun(file) as new, open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
        os.fchmod(opened.fileno(), mode)  # whatever mask this program runs with
        opened.write(text.encode())
        if durable:
            opened.flush()
            os.fsync(opened.fileno())
