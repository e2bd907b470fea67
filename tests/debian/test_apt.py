"""Packages come by apt's ordinary client in a private configuration; a bad mirror is named."""

from __future__ import annotations

import hashlib
from pathlib import Path

import needs
import pytest
from serving import mirror

from lab.command import CommandError, run
from lab.debian.apt import Client, acquire_options
from lab.debian.sources import Source, derived, keyring, recorded_origins


def test_only_the_ways_to_reach_mirrors_are_taken_from_apt_conf() -> None:
    dump = "\n".join(
        [
            'Acquire "";',
            'Acquire::http "";',
            'Acquire::http::Proxy "http://proxy.test:3142";',
            'Acquire::https::Verify-Peer "false";',
            'Acquire::Check-Valid-Until "false";',
            'Acquire::Check-Date "false";',
            'Acquire::gpgv::Options:: "--ignore-time-conflict";',
            'Acquire::GPGV::Options:: "--weak-digest=x";',
            'Acquire::sqv::Options:: "x";',
            'Acquire::AllowInsecureRepositories "true";',
            'Acquire::AllowWeakRepositories "true";',
            'Acquire::AllowDowngradeToInsecureRepositories "true";',
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


@pytest.fixture
def lax(tmp_path: Path) -> str:
    """What leads apt to a host's own files that let everything pass. It reads them after the private configuration."""
    parts = tmp_path / "host" / "apt.conf.d"
    parts.mkdir(parents=True)
    text = 'Acquire::AllowInsecureRepositories "true";\nAPT::Get::AllowUnauthenticated "true";\n'
    (parts / "99lax").write_text(text)
    (tmp_path / "host" / "apt.conf").write_text(text)
    return f'Dir::Etc::Parts "{parts}";\nDir::Etc::Main "{tmp_path}/host/apt.conf";\n'


@needs.apt
@pytest.mark.parametrize("kind", ["deb", "deb-src"])
def test_what_the_host_lets_pass_without_a_signature_is_not_taken_here(kind: str, lax: str, tmp_path: Path) -> None:
    with mirror() as source:
        unsigned = Source({name: value for name, value in source.fields.items() if name != "trusted"})
        client = Client(tmp_path / "apt", [unsigned], kind, ignore)
        own = tmp_path / "apt" / "apt.conf"
        own.write_text(lax + own.read_text())
        assert "is not signed" in client.update().stderr
        with pytest.raises(CommandError, match=r"authenticated|deb-src|[Uu]nable to locate"):
            if kind == "deb":
                client.fetch_package("vagrant-lxc", tmp_path)
            else:
                client.fetch_source("kubernetes", "1.20.2-1", tmp_path)
        assert not list(tmp_path.glob("*.d*"))


@needs.apt
def test_the_hosts_own_files_are_read_for_its_ways_to_its_mirrors_alone(
    lax: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "host" / "apt.conf.d" / "50proxy").write_text('Acquire::http::Proxy "http://proxy.test:3142";\n')
    (tmp_path / "own").write_text(lax)
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "own"))
    client = Client(tmp_path / "apt", [], "deb", ignore)
    monkeypatch.setenv("APT_CONFIG", str(client.folder / "apt.conf"))
    told = run(["apt-config", "dump"]).stdout.splitlines()
    assert 'Acquire::http::Proxy "http://proxy.test:3142";' in told
    assert 'Acquire::AllowInsecureRepositories "false";' in told
    assert 'APT::Get::AllowUnauthenticated "false";' in told


def release(file: Path, origin: str) -> None:
    """An archive of one package, as far as ``apt-get update`` looks at it."""
    packages = b"Package: x\nVersion: 1\nArchitecture: all\nFilename: x\nSize: 1\nSHA256: 00\n\n"
    index = file.parent / "main" / "binary-amd64" / "Packages"
    index.parent.mkdir(parents=True)
    index.write_bytes(packages)
    file.write_text(
        f"{origin}Codename: bookworm\nComponents: main\nArchitectures: amd64\nDate: Sat, 10 Jun 2023 08:00:00 UTC\n"
        f"SHA256:\n {hashlib.sha256(packages).hexdigest()} {len(packages)} main/binary-amd64/Packages\n"
    )


@needs.apt
def test_apt_tells_whose_an_archive_is_that_it_has_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, origin in (("named", "Origin: Some Vendor\n"), ("nameless", "")):
        release(tmp_path / name / "dists" / "bookworm" / "Release", origin)
    uris = [f"file:{tmp_path}/named/", f"file:{tmp_path}/nameless", f"file:{tmp_path}/never-there"]
    fields = {"suites": "bookworm", "components": "main", "trusted": "yes", "architectures": "amd64"}
    client = Client(tmp_path / "apt", [Source({**fields, "uris": uri}) for uri in uris], "deb", ignore)
    client.update()
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt" / "apt.conf"))
    assert recorded_origins() == {uris[0].rstrip("/"): "Some Vendor", uris[1]: ""}


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
