"""The hosts that the tests of the script ``inv`` begin with."""

from __future__ import annotations

from pathlib import Path

import pytest
from fresh import LXC, Host, listed


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host that has all that a lab of containers needs."""
    return Host(tmp_path, packages=listed("python", *LXC))


@pytest.fixture
def bare(tmp_path: Path) -> Host:
    """A host with Python, and nothing else of ours."""
    return Host(tmp_path, packages=listed("python"))
