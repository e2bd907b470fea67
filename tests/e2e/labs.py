"""A lab of its own for one test, and nothing of it left afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hosts import belonging, differences, left_of, snapshot
from running import FOLDER, Inv


@contextmanager
def made(name: str, definition: Path, folder: Path = FOLDER) -> Iterator[Inv]:
    """The lab of that name for the with-block (the block itself brings it up); its end judges what ``destroy`` left."""
    lab = Inv(name, folder, definition, uuid.uuid4().hex)
    lab("destroy", "--all")
    before = snapshot()
    try:
        yield lab
    finally:
        living = belonging(lab.identity.prefix, lab.state, lab.mark)
        lab("destroy", "--all")
    left = [f"process {process}" for process in living if process.lives]
    assert left + left_of(lab.identity.prefix, lab.state) == []
    assert differences(before, snapshot(), [lab.identity.prefix]) == []
