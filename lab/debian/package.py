"""``python3 -m lab.debian.package NAME FOLDER``: brings Debian 12's package of that name into FOLDER, verified by apt.

``inv`` calls it where the host's own release has the package no more, before there is a virtual environment: here, and
in all that is imported, is nothing but the standard library.
"""

from __future__ import annotations

import sys
from pathlib import Path

from lab.debian.apt import Client
from lab.debian.sources import configured
from lab.errors import LabError


def fetch(name: str, folder: Path) -> Path:
    """Download the package and return its file; apt's own words go to standard error. Raises LabError."""
    client = Client(folder / "apt", configured(), "deb", lambda line: print(line, file=sys.stderr))  # noqa: T201
    client.update()
    return client.fetch_package(name, folder)


if __name__ == "__main__":
    try:
        fetch(sys.argv[1], Path(sys.argv[2]))
    except LabError as error:
        sys.exit(str(error))
