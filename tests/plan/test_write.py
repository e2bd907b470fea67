"""Writing changes what differs, leaves what is equal, and removes only what an earlier rendering made."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.plan import File, write

FIRST = {"Vagrantfile": File("v1\n"), "nodes/a/x.sh": File("x\n", 0o755), "nodes/b/x.sh": File("x\n", 0o755)}


def test_the_first_time_all_is_written(tmp_path: Path) -> None:
    assert write(FIRST, tmp_path) == sorted(FIRST)
    assert (tmp_path / "nodes/a/x.sh").read_text() == "x\n"
    assert (tmp_path / "nodes/a/x.sh").stat().st_mode & 0o777 == 0o755


def test_what_is_equal_is_not_touched(tmp_path: Path) -> None:
    write(FIRST, tmp_path)
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in FIRST}
    assert write(FIRST, tmp_path) == []
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in FIRST} == before


def test_a_changed_text_and_a_changed_mode_are_written(tmp_path: Path) -> None:
    write(FIRST, tmp_path)
    second = {**FIRST, "Vagrantfile": File("v2\n"), "nodes/a/x.sh": File("x\n", 0o644)}
    assert write(second, tmp_path) == ["Vagrantfile", "nodes/a/x.sh"]
    assert (tmp_path / "nodes/a/x.sh").stat().st_mode & 0o777 == 0o644


def test_what_is_no_longer_rendered_goes_with_its_empty_folder(tmp_path: Path) -> None:
    write(FIRST, tmp_path)
    assert write({"Vagrantfile": File("v1\n"), "nodes/a/x.sh": FIRST["nodes/a/x.sh"]}, tmp_path) == ["nodes/b/x.sh"]
    assert not (tmp_path / "nodes/b").exists()
    assert (tmp_path / "nodes/a/x.sh").exists()


def test_what_others_keep_there_stays(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/history.jsonl").write_text("{}\n")
    write(FIRST, tmp_path)
    (tmp_path / "nodes/b/notes.txt").write_text("mine\n")
    write({"Vagrantfile": File("v1\n")}, tmp_path)
    assert (tmp_path / "runs/history.jsonl").exists()
    assert (tmp_path / "nodes/b/notes.txt").exists()
    assert not (tmp_path / "nodes/b/x.sh").exists()


def test_a_file_that_a_person_removed_or_changed_comes_back(tmp_path: Path) -> None:
    write(FIRST, tmp_path)
    (tmp_path / "Vagrantfile").unlink()
    (tmp_path / "nodes/a/x.sh").write_text("something else\n")
    assert write(FIRST, tmp_path) == ["Vagrantfile", "nodes/a/x.sh"]


def test_an_interrupted_writing_is_tidied_up_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("lab.plan.write")
    real, count = module._put, iter(range(100))

    def put(path: Path, file: File) -> bool:
        if next(count) == 2:
            raise KeyboardInterrupt
        return real(path, file)

    monkeypatch.setattr(module, "_put", put)
    with pytest.raises(KeyboardInterrupt):
        write(FIRST, tmp_path)
    monkeypatch.undo()
    assert write({"Vagrantfile": File("v1\n")}, tmp_path) == ["nodes/a/x.sh"]


@pytest.mark.parametrize("record", ["", "{", "[1, null]", '{"a": 1}', '["../outside", "/etc/hostname"]'])
def test_a_damaged_record_does_no_harm(tmp_path: Path, record: str) -> None:
    folder = tmp_path / "lab"
    outside = tmp_path / "outside"
    outside.write_text("mine\n")
    write(FIRST, folder)
    (folder / ".rendered.json").write_text(record)
    assert write(FIRST, folder) == []
    assert outside.exists()


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "nodes/../../x"])
def test_nothing_is_written_outside(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a path inside"):
        write({name: File("x")}, tmp_path)


def test_a_folder_that_cannot_be_made_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match=r"cannot write .*file"):
        write(FIRST, tmp_path / "file" / "lab")
