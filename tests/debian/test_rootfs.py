"""The box's root file system from a mirror that is ill: named, with what to do, and nothing half-made is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import needs
import pytest
from serving import mirror

from lab.cache import Cache
from lab.command import CommandError
from lab.debian.rootfs import mmdebstrap
from lab.debian.sources import Source, keyring, signed

pytestmark = [needs.root, needs.apt]


def built_from(sources: Sequence[Source], tmp_path: Path) -> tuple[str, list[str]]:
    """What is said when a box is built from them, and what lies in the cache then."""
    entry = Cache(tmp_path).entry("box", "ill", {})

    def builder(folder: Path) -> Mapping[str, object]:
        mmdebstrap(folder / "rootfs", ["busybox-static"], lambda line: None, sources=sources)
        return {}

    with pytest.raises(CommandError) as caught:
        entry.build(builder)
    kept = [file.name for file in entry.path.parent.iterdir() if not file.name.endswith(".lock")]
    return str(caught.value), kept


def test_a_mirror_that_stops_half_way(tmp_path: Path) -> None:
    with mirror(cut=("Packages.gz",)) as source:
        said, kept = built_from([source], tmp_path)
    assert source.fields["uris"] in said
    assert "is the Debian mirror reachable and complete?" in said
    assert kept == []


def test_one_that_does_not_answer_is_not_done_without(tmp_path: Path) -> None:
    """A box would be built without what that one has, such as security updates."""
    with mirror() as dead:
        pass
    with mirror() as source:
        said, kept = built_from([source, dead], tmp_path)
    assert f"Failed to fetch {dead.fields['uris']}" in said
    assert "installing" not in said
    assert kept == []


def test_what_debian_has_not_signed_is_no_box(tmp_path: Path) -> None:
    """Not even where the host trusts it: an archive of somebody's with a suite called bookworm."""
    with mirror() as source:
        assert source.fields["trusted"] == "yes"
        said, kept = built_from([signed(source, keyring(Path("/usr/share/keyrings")))], tmp_path)
    assert "is not signed" in said, said
    assert kept == []


def test_the_script_runs_wherever_it_lies(tmp_path: Path) -> None:
    """Without a single package, which is mmdebstrap's variant "custom"."""
    place = tmp_path / """mein 'Cäche' $HOME `id` #{1} * 100% ;&<c>|()! @@=~"""
    place.mkdir()
    script = place / "customize"
    script.write_text('#!/bin/sh\nset -eu\n[ -d "$1/var/lib/dpkg" ]\ntouch "$1/was-here"\n')
    script.chmod(0o755)
    with mirror() as source:
        mmdebstrap(place / "rootfs", [], lambda line: None, variant="custom", script=script, sources=[source])
    assert (place / "rootfs" / "was-here").exists()
