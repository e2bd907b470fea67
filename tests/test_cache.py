"""An entry of the cache exists only when it is whole; everything else is named, repaired or refused."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import needs
import pytest

from lab.cache import MANIFEST, Cache, CacheError, Entry, check_around
from lab.errors import LabError
from lab.usage import forget, mounted_by, remember
from lab.waiting import wait_for


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    return Cache(tmp_path / "cache").entry("kind", "thing", {"input": "1"})


def builder(folder: Path) -> Mapping[str, object]:
    (folder / "bin").mkdir()
    (folder / "bin/tool").write_text("tool")
    (folder / "bin/tool").chmod(0o755)
    (folder / "link").symlink_to("bin/tool")
    return {"tool": "1.0"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HALAB_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/h"}, "/a"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/h"}, "/b/halab"),
        ({"HOME": "/h"}, "/h/.cache/halab"),
    ],
)
def test_the_root_follows_the_environment(environ: dict[str, str], expected: str) -> None:
    assert Cache.default(environ).root == Path(expected)


def test_other_inputs_are_another_entry(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    paths = {
        cache.entry(kind, name, inputs).path
        for kind in ("a", "b")
        for name in ("a", "b")
        for inputs in ({}, {"x": "1"}, {"x": "2"}, {"y": "1"})
    }
    assert len(paths) == 2 * 2 * 4


def test_the_order_of_inputs_does_not_matter(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.entry("k", "n", {"a": "1", "b": "2"}).key == cache.entry("k", "n", {"b": "2", "a": "1"}).key


def test_a_built_entry_says_what_it_holds(entry: Entry) -> None:
    assert not entry.ready
    path = entry.build(builder)
    assert entry.ready
    assert path == entry.path
    assert entry.manifest["versions"] == {"tool": "1.0"}
    assert entry.manifest["inputs"] == {"input": "1"}
    assert list(entry.manifest["files"]) == ["bin/tool", "link"]
    assert entry.manifest["files"]["link"] == {"link": "bin/tool"}
    assert entry.manifest["files"]["bin/tool"]["size"] == 4
    entry.check(deep=True)


def test_a_second_build_builds_nothing(entry: Entry) -> None:
    entry.build(builder)

    def again(_folder: Path) -> Mapping[str, object]:
        raise AssertionError("built twice")

    assert entry.build(again) == entry.path


def test_refresh_replaces_the_contents(entry: Entry) -> None:
    entry.build(builder)

    def other(folder: Path) -> Mapping[str, object]:
        (folder / "other").write_text("other")
        return {}

    entry.build(other, refresh=True)
    assert sorted(path.name for path in entry.path.iterdir()) == [MANIFEST, "other"]


def _truncate(path: Path) -> None:
    (path / "bin/tool").write_text("to")


def _delete(path: Path) -> None:
    (path / "bin/tool").unlink()


def _become_a_folder(path: Path) -> None:
    (path / "bin/tool").unlink()
    (path / "bin/tool").mkdir()


def _forbid(path: Path) -> None:
    (path / "bin/tool").chmod(0o600)


def _lose_link(path: Path) -> None:
    (path / "link").unlink()


def _turn_link(path: Path) -> None:
    (path / "link").unlink()
    (path / "link").symlink_to("bin")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_truncate, "bin/tool: 2 bytes, was 4"),
        (_delete, "bin/tool: missing"),
        (_become_a_folder, "no regular file"),
        (_forbid, "bin/tool: permissions 600, were 755"),
        (_lose_link, "link: missing"),
        (_turn_link, r"link: points to bin\n"),
    ],
)
def test_damage_is_named_and_the_next_build_repairs_it(entry: Entry, damage: object, said: str) -> None:
    entry.build(builder)
    damage(entry.path)  # type: ignore[operator]
    with pytest.raises(CacheError, match=said):
        entry.check()
    entry.build(builder)
    entry.check(deep=True)


def test_changed_contents_of_equal_size_are_found_and_told_and_mended(entry: Entry) -> None:
    entry.build(builder)
    (entry.path / "bin/tool").write_text("TOOL")
    with pytest.raises(CacheError, match="bin/tool: contents changed"):
        entry.check()
    told: list[str] = []
    entry.build(builder, sink=told.append)
    assert "bin/tool: contents changed" in told[0]
    assert (entry.path / "bin/tool").read_text() == "tool"


def test_a_change_that_hides_its_time_is_found_by_a_deep_check(entry: Entry) -> None:
    entry.build(builder)
    tool = entry.path / "bin/tool"
    before = tool.stat()
    tool.write_text("TOOL")
    os.utime(tool, ns=(before.st_atime_ns, before.st_mtime_ns))
    entry.check()
    with pytest.raises(CacheError, match="bin/tool: contents changed"):
        entry.check(deep=True)


def test_a_file_that_was_touched_but_not_changed_is_whole(entry: Entry) -> None:
    entry.build(builder)
    (entry.path / "bin/tool").touch()
    entry.check()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3}'])
def test_a_manifest_that_is_none_is_rebuilt(entry: Entry, text: str) -> None:
    entry.build(builder)
    (entry.path / MANIFEST).write_text(text)
    with pytest.raises(CacheError, match="manifest"):
        entry.check()
    entry.build(builder)
    entry.check(deep=True)


def test_a_failed_build_leaves_nothing_and_keeps_the_entry_that_was(entry: Entry) -> None:
    entry.build(builder)

    def fails(folder: Path) -> Mapping[str, object]:
        (folder / "half").write_text("half")
        raise LabError("the mirror stopped")

    with pytest.raises(LabError, match="the mirror stopped"):
        entry.build(fails, refresh=True)
    entry.check(deep=True)
    assert [path.name for path in entry.path.parent.iterdir() if not path.name.endswith(".lock")] == [entry.path.name]


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), LabError("compile: write /x: no space left on device")],
)
def test_a_full_disk_is_named(entry: Entry, error: Exception) -> None:
    def fails(_folder: Path) -> Mapping[str, object]:
        raise error

    with pytest.raises(CacheError, match="ran full") as caught:
        entry.build(fails)
    assert "HALAB_CACHE" in caught.value.hint
    assert not entry.path.exists()


FILL_A_DISK = """
import sys
from pathlib import Path
from lab.cache import Cache, CacheError

entry = Cache(Path(sys.argv[1])).entry("kind", "thing", {})
try:
    entry.build(lambda folder: {"size": (folder / "big").write_bytes(bytes(1 << 21))})
except CacheError as error:
    print(error)
print("kept:", [file.name for file in entry.path.parent.iterdir() if not file.name.endswith(".lock")])
"""


@needs.root
def test_a_disk_that_runs_full_is_named_and_nothing_is_kept(tmp_path: Path) -> None:
    mounted = 'mount -t tmpfs -o size=1m none "$1" && exec "$2" -c "$3" "$1"'
    argv = ["unshare", "--mount", "sh", "-c", mounted, "sh", str(tmp_path), sys.executable, FILL_A_DISK]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert f"the disk of {tmp_path} ran full while kind thing was built (0.0 GiB free)" in done.stdout
    assert "HALAB_CACHE" in done.stdout
    assert done.stdout.endswith("kept: []\n")


def test_too_little_space_is_refused_before_the_build(entry: Entry) -> None:
    with pytest.raises(CacheError, match=r"needs 1048576\.0 GiB .* only [0-9.]+ GiB are free"):
        entry.build(builder, space=1 << 50)
    assert not entry.path.exists()


BUILD_SLOWLY = """
import sys, time
from pathlib import Path
from lab.cache import Cache

def builder(folder):
    (folder / "file").write_text("half")
    with open(sys.argv[2], "a") as log:
        log.write("built\\n")
    time.sleep(float(sys.argv[3]))  # a build that takes its time: what happens meanwhile is the test
    return {}

Cache(Path(sys.argv[1])).entry("kind", "thing", {"input": "1"}).build(builder)
"""


def _start(entry: Entry, log: Path, seconds: float) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", BUILD_SLOWLY, str(entry.root), str(log), str(seconds)]
    return subprocess.Popen(argv, cwd=Path(__file__).parent.parent)


def _wait_until_written(log: Path) -> None:
    wait_for("the build to begin", lambda: log.exists() and log.read_text(), bool, seconds=20, interval=0.01)


def test_what_a_killed_build_left_is_never_used_and_removed_by_the_next(entry: Entry, tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = _start(entry, log, 60)
    _wait_until_written(log)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = [path for path in entry.path.parent.iterdir() if path.is_dir()]
    assert len(left) == 1, "the killed build should have left its half-made folder: else this test shows nothing"
    assert not entry.ready
    entry.build(builder)
    entry.check(deep=True)
    assert [path for path in entry.path.parent.iterdir() if path.is_dir()] == [entry.path]


def test_two_processes_build_once(entry: Entry, tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = _start(entry, log, 0.5)
    _wait_until_written(log)
    second = _start(entry, log, 0.5)
    assert first.wait(20) == 0
    assert second.wait(20) == 0
    assert log.read_text() == "built\n"


@needs.root
def test_an_entry_that_a_machine_uses_is_not_replaced(entry: Entry, tmp_path: Path) -> None:
    path = entry.build(builder)
    own, target = tmp_path / "own", tmp_path / "target"
    own.mkdir()
    target.mkdir()
    # A machine's own changes lie on a file system that an overlay can have as its upper one, wherever this test runs.
    mount = (
        f"mount -t tmpfs none {own} && mkdir {own}/upper {own}/work && "
        f"mount -t overlay o -o lowerdir={path}/bin,upperdir={own}/upper,workdir={own}/work {target} && "
        "echo up && read -r _"
    )
    machine = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", mount], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert machine.stdout is not None
        assert machine.stdout.readline() == "up\n", "without overlays no lab of containers comes up here"
        assert mounted_by(path)
        with pytest.raises(CacheError, match="still uses it"):
            entry.build(builder, refresh=True)
        entry.check(deep=True)
    finally:
        machine.communicate("\n", timeout=10)
    assert mounted_by(path) == ""
    entry.build(builder, refresh=True)


def test_the_manifest_is_plain_json(entry: Entry) -> None:
    entry.build(builder)
    assert json.loads((entry.path / MANIFEST).read_text())["key"] == entry.key


def test_a_part_of_an_entry_is_as_whole_as_the_entry(entry: Entry) -> None:
    part = entry.build(builder) / "bin"
    check_around(part)
    (part / "tool").write_text("to")
    with pytest.raises(CacheError, match="bin/tool: 2 bytes, was 4"):
        check_around(part)
    shutil.rmtree(part)
    with pytest.raises(CacheError, match=f"{part} is gone"):
        check_around(part)


@pytest.fixture
def halted(entry: Entry, tmp_path: Path) -> Path:
    """The folder of a lab that is off and was made from the entry."""
    state = tmp_path / "clöne/.lab/ha"
    state.mkdir(parents=True)
    (state / "site.json").write_text("{}")
    remember(entry.root, "ha-012345", state, [entry.build(builder) / "bin"])
    return state


def test_what_a_halted_lab_was_made_from_is_not_replaced(entry: Entry, halted: Path) -> None:
    with pytest.raises(CacheError, match=f"the lab of {halted} still uses it") as caught:
        entry.build(builder, refresh=True)
    assert "./inv destroy" in caught.value.hint
    other = Cache(entry.root).entry("kind", "thing", {"input": "2"})
    other.build(builder)
    other.build(builder, refresh=True)


def test_what_a_destroyed_lab_was_made_from_may_be(entry: Entry, halted: Path) -> None:
    (halted / "site.json").unlink()
    entry.build(builder, refresh=True)
    (halted / "site.json").write_text("{}")
    forget(entry.root, "ha-012345")
    entry.build(builder, refresh=True)


def test_a_note_that_cannot_be_read_protects_all(entry: Entry, halted: Path) -> None:
    note = next((entry.root / "labs").iterdir())
    note.write_text("{")
    with pytest.raises(CacheError, match=f"a lab whose note {note} is damaged"):
        entry.build(builder, refresh=True)
