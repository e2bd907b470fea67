"""A file is there whole or not at all, and never for others to read than it is meant for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.host import files


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "note"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_it_has_the_mode_that_was_asked_for_whatever_the_mask(file: Path, mode: int, mask: int) -> None:
    before = os.umask(mask)
    try:
        files.write(file, "ä\n", mode)
    finally:
        os.umask(before)
    assert file.read_bytes() == "ä\n".encode()
    assert file.stat().st_mode & 0o7777 == mode


def test_nobody_can_read_a_secret_while_it_is_written(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    fchmod = os.fchmod

    def look(descriptor: int, mode: int) -> None:
        seen.append(os.fstat(descriptor).st_mode & 0o777)
        fchmod(descriptor, mode)

    file.with_name(".note.new").write_text("left by one that was killed, readable for all")
    monkeypatch.setattr(os, "fchmod", look)
    files.write(file, "secret", 0o600)
    assert seen == [0o600]


def test_what_was_there_stays_until_the_new_one_is_whole(file: Path) -> None:
    files.write(file, "old")
    with pytest.raises(ZeroDivisionError), files.begun(file) as new:
        new.write_text("ne")
        raise ZeroDivisionError
    assert file.read_text() == "old"
    assert [path.name for path in file.parent.glob(files.UNFINISHED)] == [".note.new"]
    with files.begun(file) as new:
        assert not new.exists(), "what another left is nothing to build on"
        new.write_text("new")
    assert [path.read_text() for path in file.parent.iterdir()] == ["new"]


def test_a_durable_one_is_on_the_disk_before_it_has_its_name(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: there.append(file.exists()))
    files.write(file, "text", durable=True)
    assert there == [False]
