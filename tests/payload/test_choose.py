"""Which source of Kubernetes is taken: what lies in the cache needs none."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.cache import Cache
from lab.errors import LabError, UsageError
from lab.kubernetes.release import RELEASES, V1_20_2
from lab.payload import debian
from lab.payload.base import Availability
from lab.payload.choose import SOURCES, choose
from lab.payload.debian import DebianPayload


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """A cache of the test's own, empty."""
    return Cache(tmp_path)


@pytest.fixture
def available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DebianPayload, "available", lambda _self: Availability(True, "compiled here"))


def test_each_release_can_be_had_from_the_sources_that_its_row_names() -> None:
    rows = {(source, row.version) for row in RELEASES.values() for source in row.sources}
    assert {(payload.name, payload.version) for payload in SOURCES} == rows


@pytest.mark.usefixtures("available")
@pytest.mark.parametrize("source", ["auto", "debian"])
def test_the_choice_says_why(source: str, cache: Cache) -> None:
    payload, why = choose(cache, source, "v1.20.2")
    assert payload.name == "debian"
    assert why == "debian: compiled here"


@pytest.mark.usefixtures("available")
@pytest.mark.parametrize("source", ["upstream", "bundle", "nonsense"])
def test_a_source_that_does_not_exist_is_a_wrong_definition(source: str, cache: Cache) -> None:
    with pytest.raises(UsageError, match=source) as caught:
        choose(cache, source)
    assert "debian" in caught.value.hint


@pytest.mark.usefixtures("available")
def test_a_version_that_no_source_has_is_refused(cache: Cache) -> None:
    with pytest.raises(LabError, match=r"v1\.31\.0") as caught:
        choose(cache, "auto", "v1.31.0")
    assert "has v1.20.2 only" in caught.value.hint


class TestWithoutCompilerAndSource:
    """A host on which nothing can be built: no program, no source of Debian 12."""

    @pytest.fixture(autouse=True)
    def nothing(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(debian, "configured", lambda: pytest.fail("sources were looked for"))

    def test_it_is_told_what_is_missing(self, cache: Cache) -> None:
        with pytest.raises(LabError, match=r"no source of Kubernetes v1\.20\.2 works") as caught:
            choose(cache, "auto", "v1.20.2")
        assert "the package mmdebstrap is missing" in caught.value.hint

    @pytest.mark.parametrize("source", ["auto", "debian"])
    def test_what_is_in_the_cache_is_taken(self, source: str, cache: Cache) -> None:
        path = DebianPayload(V1_20_2).tree(cache).build(lambda folder: {})
        payload, why = choose(cache, source, "v1.20.2")
        assert why == "debian: in the cache"
        assert payload.prepare(cache, pytest.fail) == path

    def test_it_is_not_when_it_shall_be_built_anew(self, cache: Cache) -> None:
        DebianPayload(V1_20_2).tree(cache).build(lambda folder: {})
        with pytest.raises(LabError, match="no source"):
            choose(cache, "auto", "v1.20.2", refresh=True)
