"""Where a clone or a cache cannot lie is said with the reason; anything else that people call folders is no matter."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from lab.identity import Identity
from lab.requirements.finding import Grade
from lab.requirements.paths import paths

CLONE, CACHE = Path("/root/halab"), Path("/root/.cache/halab")

#: Each was tried: real labs ran there.
FINE = ["mein Läb", "日本", "o'brien", "100%", "$HOME", "a#{1}b", "[a]*?{x,y}", "a & b ; <c>", "(`id`) | !", "@=~"]


@pytest.mark.parametrize("name", FINE)
def test_what_works_is_not_refused(name: str) -> None:
    assert paths(Path("/x") / name, CACHE).grade is Grade.GOOD
    if not set(name) & set(",[]?"):
        assert paths(CLONE, Path("/x") / name).grade is Grade.GOOD


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a:b", "a colon"),
        ("a\nb", "a line break"),
        ("a\tb", "another control character"),
        ("a${b}", "${"),
        (os.fsdecode(b"L\xe4b"), "no UTF-8"),
    ],
)
def test_a_clone_that_some_program_cannot_be_told_is_named(name: str, why: str) -> None:
    found = paths(Path("/x") / name, CACHE)
    assert found.grade is Grade.BAD
    assert "the clone's path" in found.seen and why in found.seen
    assert "move or rename" in found.hint
    found.seen.encode()  # can be printed, whatever the bytes are


@pytest.mark.parametrize(
    ("name", "why"),
    [("a:b", "a colon"), ("a,b", "a comma"), ("a\\b", "a backslash"), ('a"b', "a double quote"), ("a\nb", "a line")]
    + [(name, "a square bracket or a question mark") for name in ("[a", "a]", "a?")],
)
def test_a_cache_that_some_program_cannot_be_told_is_named(name: str, why: str) -> None:
    found = paths(CLONE, Path("/x") / name)
    assert found.grade is Grade.BAD
    assert "the cache's path" in found.seen and why in found.seen
    assert "HALAB_CACHE" in found.hint


def test_all_that_is_wrong_is_told_at_once() -> None:
    found = paths(Path("/a:b/${c}"), Path("/d,e"))
    assert all(what in found.seen for what in ("a colon", "${", "a comma"))


def test_a_clone_of_any_bytes_gives_its_labs_names_of_their_own() -> None:
    """So that it comes as far as being refused."""
    one, other = (Identity("ha", Path("/x") / os.fsdecode(name)).prefix for name in (b"L\xe4b", b"L\xe5b"))
    assert one != other
    assert Identity("ha", Path("/x/Läb")).prefix == "ha-" + hashlib.sha256("/x/Läb\0ha".encode()).hexdigest()[:6]
