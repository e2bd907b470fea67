"""A lock that another program has: waited for as long as was said, then told in the asker's own words."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import LabError
from lab.host.locks import acquired, locked

BUSY = LabError("somebody is at it", "wait")


def test_one_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", 0, BUSY), pytest.raises(LabError) as told:
        acquired(tmp_path / "lock", 0, BUSY)
    assert told.value is BUSY
    acquired(tmp_path / "lock", 0, BUSY).release()


def test_it_is_given_back_however_the_work_ends(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "lock", 0, BUSY):
        raise ZeroDivisionError
    acquired(tmp_path / "lock", 0, BUSY).release()
