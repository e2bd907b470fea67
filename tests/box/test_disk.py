"""A disk image is written by the real tools, wherever the cache lies."""

from __future__ import annotations

import subprocess
from pathlib import Path

import needs
import pytest

from lab.box.disk import FIRST_PARTITION, MIB, Disk, compress, write_raw


@pytest.mark.parametrize("name", ["plain", """mein 'Läb' "x" $HOME %s #{1} [a] @@1 \\b , ; """])
def test_the_boot_partition_holds_what_boots(name: str, tmp_path: Path) -> None:
    needs.programs("sfdisk", "mkfs.ext4", "mformat", "mcopy", "mdir", "syslinux", "qemu-img")
    place = tmp_path / name
    (place / "root" / "boot").mkdir(parents=True)
    for file in ("kernel", "initrd"):
        (place / file).write_text(file)
    disk = Disk(place / "root", place / "kernel", place / "initrd", "quiet", 128 * MIB)
    write_raw(disk, place / "box.raw")
    listed = subprocess.run(
        ["mdir", "-b", "-i", f"box.raw@@{FIRST_PARTITION}", "::"],
        cwd=place,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert {"::/vmlinuz", "::/initrd.img", "::/syslinux.cfg"} <= set(listed.stdout.split())
    compress(place / "box.raw", place / "box.img")
    assert (place / "box.img").read_bytes()[:4] == b"QFI\xfb"
