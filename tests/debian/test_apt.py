"""Packages come by apt's ordinary client in a private configuration; a bad mirror is named."""

from __future__ import annotations

from pathlib import Path

import needs
import pytest
from serving import mirror

from lab.command import CommandError
from lab.debian.apt import Client, acquire_options
from lab.debian.sources import Source, derived, keyring


def test_only_the_ways_to_reach_mirrors_are_taken_from_apt_conf() -> None:
    dump = "\n".join(
        [
            'Acquire "";',
            'Acquire::http "";',
            'Acquire::http::Proxy "http://proxy.test:3142";',
            'Acquire::https::Verify-Peer "false";',
            'Acquire::Check-Valid-Until "false";',
            'Acquire::IndexTargets::deb::Packages::MetaKey "x";',
            'Acquire::GzipIndexes "true";',
            'APT::Update::Post-Invoke-Success:: "/usr/bin/something";',
        ]
    )
    assert acquire_options(dump) == [
        'Acquire::http::Proxy "http://proxy.test:3142";',
        'Acquire::https::Verify-Peer "false";',
        'Acquire::Check-Valid-Until "false";',
    ]


def ignore(_line: str) -> None:
    """A sink that nobody reads."""


@needs.apt
def test_a_source_package_is_found_and_fetched(tmp_path: Path) -> None:
    with mirror() as source:
        client = Client(tmp_path, [source], "deb-src", ignore)
        client.update()
        assert client.source_versions("kubernetes") == ["1.20.2-1"]
        assert client.source_versions("nothing") == []
        assert client.fetch_source("kubernetes", "1.20.2-1", tmp_path).name == "kubernetes_1.20.2-1.dsc"


@needs.apt
@pytest.mark.parametrize("allowed", ["", 'Acquire::AllowInsecureRepositories "true";'])
def test_what_is_derived_counts_only_with_debians_signature(allowed: str, tmp_path: Path) -> None:
    with mirror() as source:
        trusted = Source({**source.fields, "suites": "trixie"})
        client = Client(tmp_path, [derived(trusted, keyring(Path("/usr/share/keyrings")))], "deb-src", ignore)
        with (tmp_path / "apt.conf").open("a") as file:
            file.write(allowed)
        assert "is not signed" in client.update().stderr
        with pytest.raises(CommandError, match=r"authenticated|deb-src"):
            client.fetch_source("kubernetes", "1.20.2-1", tmp_path)


@needs.apt
def test_a_mirror_that_stops_half_way_is_named(tmp_path: Path) -> None:
    with mirror(cut=(".tar.gz",)) as source:
        client = Client(tmp_path, [source], "deb-src", ignore)
        client.update()
        with pytest.raises(CommandError, match=r"orig\.tar\.gz") as caught:
            client.fetch_source("kubernetes", "1.20.2-1", tmp_path)
        assert "another mirror" in caught.value.hint


@needs.apt
def test_a_mirror_that_does_not_answer_offers_nothing(tmp_path: Path) -> None:
    with mirror() as source:
        pass
    client = Client(tmp_path, [source], "deb-src", ignore)
    update = client.update()
    assert client.source_versions("kubernetes") == []
    assert "127.0.0.1" in update.stderr
