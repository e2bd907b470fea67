"""The machine's own sources are read in both formats, third parties left out; on a later Debian they are derived.

Whatever they say of keys, each counts only with Debian's signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from lab.debian.sources import AptError, Source, configured, deb822, one_line, read, stanzas

DEBIAN = "deb http://m.test/debian bookworm main\n"


@pytest.mark.parametrize("name", ["sources.list", "sources.list.d/debian.list"])
def test_a_comment_in_another_encoding_hides_no_source(name: str, tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / name).write_bytes(b"# caf\xe9\n" + DEBIAN.encode())
    (tmp_path / "sources.list.d/x.sources").write_bytes(b"# caf\xe9\nTypes: deb\n")
    assert [source.addresses for source in read(tmp_path)] == [[], ["http://m.test/debian"]]


@pytest.mark.parametrize("name", ["x.sources", "x.list"])
def test_what_lies_there_and_is_no_file_is_no_source(name: str, tmp_path: Path) -> None:
    """apt itself leaves out a folder and a link to nothing."""
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(DEBIAN)
    (tmp_path / "sources.list.d" / name).symlink_to("/nonexistent")
    (tmp_path / "sources.list.d" / f"folder-{name}").mkdir()
    assert [source.addresses for source in read(tmp_path)] == [["http://m.test/debian"]]


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path, *_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied", str(self))

    (tmp_path / "sources.list").write_text(DEBIAN)
    monkeypatch.setattr(Path, "read_text", denied)
    with pytest.raises(AptError, match=rf"{tmp_path}/sources.list cannot be read: Permission denied"):
        read(tmp_path)


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


def test_a_stanza_keeps_its_embedded_key() -> None:
    (source,) = deb822(DEB822)
    assert source.fields["signed-by"] == "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc"


def test_of_a_stanza_only_what_is_needed_is_taken_and_debian_must_have_signed_it(tmp_path: Path) -> None:
    sources = found(tmp_path, {"sources.list.d/debian.sources": DEB822})
    assert stanzas(sources, "deb-src") == (
        "Types: deb-src\nUris: http://mirror.test/debian\nComponents: main\nSuites: bookworm bookworm-updates\n"
        f"Signed-By: {tmp_path}/keyrings/debian-archive-keyring.gpg\n"
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
        "Types: deb\nURIs: http://t.test/\nSuites: noble\nComponents: main\n",
        "Types: deb\nURIs: http://t.test/\nSuites: trixie-backports\nComponents: main\n",
        "Types: deb\nURIs: http://t.test/\nSuites: bookworm\nComponents: main\nEnabled: no\n",
        "",
    ],
)
def test_a_machine_without_a_usable_source_is_told_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(AptError, match="no source of Debian 12") as caught:
        found(tmp_path, {"sources.list.d/other.sources": text, "sources.list": "# empty\n"})
    assert "mirror" in caught.value.hint


def test_both_formats_together_give_each_source_once(tmp_path: Path) -> None:
    files = {
        "sources.list": "deb http://a.test/debian bookworm main\ndeb-src http://a.test/debian bookworm main\n",
        "sources.list.d/b.list": "deb http://b.test/debian-security bookworm-security main\n",
        "sources.list.d/off.list.save": "deb http://c.test/debian bookworm main\n",
    }
    text = stanzas(found(tmp_path, files), "deb-src")
    assert text.count("a.test") == 1
    assert text.count("b.test") == 1
    assert "c.test" not in text
    assert text.count("Types: deb-src") == 2
    # apt must be able to read back what is written.
    assert len(deb822(text)) == 2


KEYS = ("debian-archive-keyring.gpg", "debian-archive-keyring.pgp")

TRIXIE = """\
Types: deb deb-src
URIs: http://m.test/debian/
Suites: trixie trixie-updates trixie-backports
Components: main non-free-firmware
Architectures: amd64
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp

Types: deb
URIs: http://s.test/debian-security/
Suites: trixie-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp
"""


def on_record() -> Mapping[str, str]:
    """What apt has on record in these tests."""
    return {"http://v.test/debian": "Vendor", "http://n.test/debian": "", "http://m.test/debian": "Debian"}


def found(
    tmp_path: Path,
    files: dict[str, str],
    keys: tuple[str, ...] = KEYS,
    known: Mapping[str, str] | None = None,
) -> list[Source]:
    """What is configured on a host with these files and these files of keys; ``known`` is what apt has on record."""
    keyrings = tmp_path / "keyrings"
    keyrings.mkdir()
    for name in keys:
        (keyrings / name).touch()
    return configured(etc(tmp_path, files), keyrings, on_record if known is None else lambda: known)


def suites(sources: list[Source]) -> dict[str, str]:
    return {address: source.fields["suites"] for source in sources for address in source.addresses}


class TestOnALaterDebian:
    """The same archive has Debian 12 too: only the suite differs, and Debian's own keys must have signed it."""

    def test_the_suites_are_replaced_and_nothing_else(self, tmp_path: Path) -> None:
        text = stanzas(found(tmp_path, {"sources.list.d/debian.sources": TRIXIE}), "deb")
        keys = tmp_path / "keyrings/debian-archive-keyring.gpg"
        assert text == (
            "Types: deb\nUris: http://m.test/debian/\nComponents: main\nArchitectures: amd64\n"
            f"Suites: bookworm bookworm-updates\nSigned-By: {keys}\n\n"
            "Types: deb\nUris: http://s.test/debian-security/\nComponents: main\n"
            f"Suites: bookworm-security\nSigned-By: {keys}\n"
        )

    @pytest.mark.parametrize(
        ("suite", "instead"),
        [
            ("trixie", "bookworm"),
            ("trixie-security", "bookworm-security"),
            ("forky-updates", "bookworm-updates"),
            ("sid", "bookworm"),
            ("unstable", "bookworm"),
            ("testing", "bookworm"),
            ("stable", "bookworm"),
            ("stable-security", "bookworm-security"),
            ("stable/updates", "bookworm-security"),
            ("oldstable", "bookworm"),  # Debian 12 since Debian 13, and Debian 13 since Debian 14
            ("oldstable-updates", "bookworm-updates"),
        ],
    )
    @pytest.mark.parametrize("form", ["sources", "list"])
    def test_whatever_the_release_is_called(self, suite: str, instead: str, form: str, tmp_path: Path) -> None:
        text = {
            "sources": f"Types: deb\nURIs: http://m.test/debian\nSuites: {suite}\nComponents: main contrib\n",
            "list": f"deb http://m.test/debian {suite} main contrib\ndeb-src http://m.test/debian {suite} main\n",
        }[form]
        sources = found(tmp_path, {f"sources.list.d/debian.{form}": text})
        assert suites(sources) == {"http://m.test/debian": instead}
        assert stanzas(sources, "deb").count("Types: deb\n") == 1

    def test_a_release_that_is_named_twice_gives_one_suite(self, tmp_path: Path) -> None:
        text = "Types: deb\nURIs: http://m.test/debian\nSuites: trixie stable stable-updates\nComponents: main\n"
        sources = found(tmp_path, {"sources.list.d/debian.sources": text})
        assert suites(sources) == {"http://m.test/debian": "bookworm bookworm-updates"}

    @pytest.mark.parametrize(
        "options",
        [
            "trusted=yes",
            "allow-insecure=yes trusted=yes",
            "allow-weak=yes allow-downgrade-to-insecure=yes",
            "signed-by=/usr/share/keyrings/debian-archive-trixie-stable.gpg",
        ],
    )
    def test_nothing_counts_without_debians_signature(self, options: str, tmp_path: Path) -> None:
        line = f"deb [{options} check-valid-until=no] http://m.test/debian trixie main\n"
        (source,) = found(tmp_path, {"sources.list": line})
        assert {name: source.fields[name] for name in source.fields.keys() - {"types", "uris", "components"}} == {
            "suites": "bookworm",
            "signed-by": str(tmp_path / "keyrings/debian-archive-keyring.gpg"),
            "check-valid-until": "no",
        }

    @pytest.mark.parametrize("keys", [("debian-archive-keyring.gpg",), ("debian-archive-keyring.pgp",)])
    def test_the_keys_are_taken_from_the_file_that_is_there(self, keys: tuple[str, ...], tmp_path: Path) -> None:
        sources = found(tmp_path, {"sources.list": "deb http://m.test/debian trixie main\n"}, keys)
        assert sources[0].fields["signed-by"] == str(tmp_path / "keyrings" / keys[0])

    def test_without_debians_keys_it_is_said_what_to_install(self, tmp_path: Path) -> None:
        with pytest.raises(AptError, match="keyrings") as caught:
            found(tmp_path, {"sources.list": "deb http://m.test/debian trixie main\n"}, ())
        assert "debian-archive-keyring" in caught.value.hint

    @pytest.mark.parametrize(
        "vendor",
        [
            "deb [signed-by=/etc/apt/keyrings/vendor.gpg] http://x.test/debian trixie main",
            "deb [signed-by=/etc/apt/keyrings/vendor.gpg] http://x.test/debian bookworm main",  # not for trixie yet
            "deb [signed-by=/k/debian-archive-keyring.gpg,/k/vendor.gpg] http://x.test/debian trixie main",
            "deb http://v.test/debian/ trixie main",
            "deb [trusted=yes] http://v.test/debian bookworm main",
            "deb http://x.test/debian trixie stable",
            "deb http://x.test/debian trixie-pgdg main",
        ],
    )
    def test_third_parties_are_left_out(self, vendor: str, tmp_path: Path) -> None:
        sources = found(tmp_path, {"sources.list": vendor + "\n", "sources.list.d/debian.sources": TRIXIE})
        assert suites(sources) == {
            "http://m.test/debian": "bookworm bookworm-updates",
            "http://s.test/debian-security": "bookworm-security",
        }

    def test_a_third_party_alone_is_no_debian(self, tmp_path: Path) -> None:
        with pytest.raises(AptError, match="no source of Debian 12"):
            found(tmp_path, {"sources.list": "deb [signed-by=/k/vendor.gpg] http://x.test/debian trixie main\n"})

    def test_debian_12_in_the_hosts_own_sources_comes_first(self, tmp_path: Path) -> None:
        files = {"sources.list": "deb http://a.test/debian bookworm main\n", "sources.list.d/debian.sources": TRIXIE}
        assert suites(found(tmp_path, files)) == {"http://a.test/debian": "bookworm"}


BOOKWORM = """\
Types: deb
URIs: http://m.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


class TestOnDebian12:
    """Third parties name their suites after Debian's too, and their component main: they are no Debian for that."""

    @pytest.mark.parametrize(
        "vendor",
        [
            "deb [arch=amd64 signed-by=/usr/share/keyrings/vendor.gpg] https://v.test/debian bookworm main",
            "deb [signed-by=/usr/share/keyrings/vendor.gpg] https://x.test/ bookworm main",  # apt never asked it
            "deb [trusted=yes] http://v.test/debian/ bookworm main",
            "deb http://v.test/debian bookworm main",
            "deb http://n.test/debian bookworm main",  # its release file names no origin
        ],
    )
    def test_third_parties_are_left_out(self, vendor: str, tmp_path: Path) -> None:
        sources = found(tmp_path, {"sources.list": vendor + "\n", "sources.list.d/debian.sources": BOOKWORM})
        assert suites(sources) == {"http://m.test/debian": "bookworm bookworm-updates"}

    @pytest.mark.parametrize(
        "mirror",
        [
            "deb http://c.test/debian bookworm main",
            "deb [signed-by=/etc/apt/keyrings/debian.gpg] http://c.test/debian bookworm main",
            "deb [trusted=yes allow-insecure=yes allow-weak=yes] http://c.test/debian bookworm main",
            "deb [trusted=yes signed-by=/etc/apt/keyrings/debian.gpg] http://c.test/debian bookworm main",
        ],
    )
    @pytest.mark.parametrize("known", [{}, {"http://c.test/debian": "Debian"}])
    def test_a_mirror_counts_whatever_keys_it_names_and_only_with_debians(
        self, mirror: str, known: Mapping[str, str], tmp_path: Path
    ) -> None:
        (source,) = found(tmp_path, {"sources.list": mirror + "\n"}, known=known)
        assert dict(source.fields) == {
            "types": "deb",
            "uris": "http://c.test/debian",
            "components": "main",
            "suites": "bookworm",
            "signed-by": str(tmp_path / "keyrings/debian-archive-keyring.gpg"),
        }

    def test_a_mirror_with_keys_of_its_own_stands_beside_debians(self, tmp_path: Path) -> None:
        files = {
            "sources.list": "deb [signed-by=/etc/apt/keyrings/d.gpg] http://c.test/security bookworm-security main\n",
            "sources.list.d/debian.sources": BOOKWORM,
        }
        sources = found(tmp_path, files, known={"http://c.test/security": "Debian"})
        assert suites(sources) == {
            "http://m.test/debian": "bookworm bookworm-updates",
            "http://c.test/security": "bookworm-security",
        }

    def test_who_asks_for_trust_without_a_key_is_no_debian_beside_debian(self, tmp_path: Path) -> None:
        """Debian's archive needs none: apt has its keys. (apt has not asked this one yet, so nothing else tells.)"""
        for option in ("trusted=yes", "allow-insecure=yes", "allow-weak=yes"):
            vendor = f"deb [{option}] https://y.test/apt bookworm main\n"
            files = {"sources.list": vendor, "sources.list.d/d.list": "deb http://c.test/debian bookworm main\n"}
            (folder := tmp_path / option).mkdir()
            assert suites(found(folder, files, known={})) == {"http://c.test/debian": "bookworm"}

    def test_apt_need_not_be_asked_where_debians_keys_are_named(self, tmp_path: Path) -> None:
        def asked() -> Mapping[str, str]:
            raise AssertionError

        (tmp_path / KEYS[0]).touch()
        files = {"sources.list.d/debian.sources": BOOKWORM}
        assert suites(configured(etc(tmp_path, files), tmp_path, asked)).keys() == {"http://m.test/debian"}

    def test_a_third_party_alone_is_no_debian(self, tmp_path: Path) -> None:
        with pytest.raises(AptError, match="no source of Debian 12"):
            found(tmp_path, {"sources.list": "deb [trusted=yes] http://v.test/debian bookworm main\n"})
