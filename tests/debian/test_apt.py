"""The machine's own sources are read in both formats, third parties left out; a bad mirror is named."""

from __future__ import annotations

from pathlib import Path

import needs
import pytest
from serving import mirror

from lab.command import CommandError
from lab.debian.apt import AptError, Client, acquire_options, configured, deb822, one_line, stanzas

DEB822 = """\
# a comment
Types: deb
URIs: http://mirror.test/debian
# another
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
"""


def etc(tmp_path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = tmp_path / "apt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "apt"


def test_a_stanza_keeps_its_key_and_loses_what_is_not_needed(tmp_path: Path) -> None:
    found = configured(etc(tmp_path, {"sources.list.d/debian.sources": DEB822}))
    assert stanzas(found, "deb-src") == (
        "Types: deb-src\nUris: http://mirror.test/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
        "Signed-By: \n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n"
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "deb http://m.test/debian bookworm main",
            {"uris": "http://m.test/debian", "suites": "bookworm", "components": "main", "types": "deb"},
        ),
        (
            "deb [arch=amd64,arm64 signed-by=/k.gpg] http://m.test/d/ bookworm-security main contrib # why",
            {
                "uris": "http://m.test/d/",
                "suites": "bookworm-security",
                "components": "main contrib",
                "types": "deb",
                "architectures": "amd64 arm64",
                "signed-by": "/k.gpg",
            },
        ),
        ("deb-src http://m.test/debian bookworm main", {"types": "deb-src", "suites": "bookworm"}),
        ("# deb http://m.test/debian bookworm main", None),
        ("", None),
        ("debug http://m.test/debian bookworm main", None),
    ],
)
def test_one_line_sources(line: str, expected: dict[str, str] | None) -> None:
    found = one_line(line)
    if expected is None:
        assert found == []
    else:
        assert expected.items() <= dict(found[0].fields).items()


@pytest.mark.parametrize(
    "text",
    [
        "Types: deb\nURIs: http://t.test/\nSuites: bookworm\nComponents: stable\n",  # a third party's own component
        "Types: deb\nURIs: http://t.test/\nSuites: bookworm-pgdg\nComponents: main\n",
        "Types: deb\nURIs: http://t.test/\nSuites: nodistro\nComponents: main\n",
        "Types: deb\nURIs: http://t.test/\nSuites: trixie\nComponents: main\n",
        "Types: deb\nURIs: http://t.test/\nSuites: bookworm\nComponents: main\nEnabled: no\n",
        "",
    ],
)
def test_a_machine_without_a_usable_source_is_told_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(AptError, match="no source of Debian 12") as caught:
        configured(etc(tmp_path, {"sources.list.d/other.sources": text, "sources.list": "# empty\n"}))
    assert "mirror" in caught.value.hint


def test_both_formats_together_give_each_source_once(tmp_path: Path) -> None:
    files = {
        "sources.list": "deb http://a.test/debian bookworm main\ndeb-src http://a.test/debian bookworm main\n",
        "sources.list.d/b.list": "deb http://b.test/debian-security bookworm-security main\n",
        "sources.list.d/off.list.save": "deb http://c.test/debian bookworm main\n",
    }
    text = stanzas(configured(etc(tmp_path, files)), "deb-src")
    assert text.count("a.test") == 1
    assert text.count("b.test") == 1
    assert "c.test" not in text
    assert text.count("Types: deb-src") == 2
    # apt must be able to read back what is written.
    assert len(deb822(text)) == 2


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
