"""Where this project's own files lie."""

from __future__ import annotations

import os
from pathlib import Path

#: The project's folder: definitions, provision/ and the labs' state lie below it.
FOLDER = Path(__file__).resolve().parent.parent

DEFAULT_DEFINITION = FOLDER / "configs" / "ha.yaml"


def definition_file(named: str) -> Path:
    """A lab's definition: the file that a command line names, else the default."""
    # (Path's own resolve raises RuntimeError for a link that leads to itself: reading it tells that better.)
    return Path(os.path.realpath(named)) if named else DEFAULT_DEFINITION
