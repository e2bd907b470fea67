"""A bootable disk image from a folder, made on plain files: no loop device, no mount, nothing that wants a real disk.

Layout: a master boot record with syslinux's code, a small FAT partition with the boot loader, kernel and initial ram
disk, and one ext4 partition with everything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.command import run
from lab.contained import contained
from lab.errors import LabError

MIB = 1 << 20
SECTOR = 512

#: Where the first partition begins: 1 MiB, as every partitioning tool has aligned for ten years.
FIRST_PARTITION = 1 * MIB

#: Room for syslinux, one kernel and one initial ram disk (Debian's cloud kernel: 8 and 12 MiB).
BOOT_SIZE = 64 * MIB

#: Bytes of boot code that a master boot record holds before its partition table.
BOOT_CODE = 440

#: Where distributions keep syslinux's code for the master boot record (Debian, Fedora, Arch).
MBR_FILES = (
    Path("/usr/lib/syslinux/mbr/mbr.bin"),
    Path("/usr/share/syslinux/mbr.bin"),
    Path("/usr/lib/syslinux/bios/mbr.bin"),
)


@dataclass(frozen=True)
class Disk:
    """What the image contains. ``size`` is the virtual size in bytes, ``command_line`` the kernel's."""

    root: Path
    kernel: Path
    initrd: Path
    command_line: str
    size: int

    @property
    def root_offset(self) -> int:
        """Byte at which the ext4 partition begins."""
        return FIRST_PARTITION + BOOT_SIZE


def syslinux_config(disk: Disk) -> str:
    """What the boot loader reads: one entry, no prompt, no delay."""
    return (
        "DEFAULT linux\nPROMPT 0\nTIMEOUT 0\nLABEL linux\n  LINUX /vmlinuz\n  INITRD /initrd.img\n"
        f"  APPEND {disk.command_line}\n"
    )


def partition_table(disk: Disk) -> str:
    """sfdisk's input: the boot partition (active, FAT16 LBA) and the root partition up to the end."""
    boot, root = FIRST_PARTITION // SECTOR, disk.root_offset // SECTOR
    return (
        "label: dos\nunit: sectors\n"
        f"start={boot}, size={BOOT_SIZE // SECTOR}, type=e, bootable\n"
        f"start={root}, size={disk.size // SECTOR - root}, type=83\n"
    )


def write_raw(disk: Disk, target: Path) -> None:
    """Write the whole disk to ``target`` as a sparse file. Raises CommandError, and LabError without syslinux."""
    with target.open("wb") as file:
        file.truncate(disk.size)
    _run(["sfdisk", "--quiet", str(target)], stdin=partition_table(disk))
    with target.open("r+b") as file:
        file.write(_boot_code())
    _write_boot(disk, target)
    _run(
        [
            "mkfs.ext4",
            "-q",
            "-F",
            "-L",
            "root",
            "-d",
            str(disk.root),
            # The file is fresh, hence zero: nothing is left for a slow guest to initialise in the background.
            "-E",
            f"offset={disk.root_offset},lazy_itable_init=0,lazy_journal_init=0,nodiscard",
            str(target),
            f"{(disk.size - disk.root_offset) // 1024}k",
        ]
    )


def compress(raw: Path, target: Path) -> None:
    """Turn a raw image into a compressed qcow2 one (zstd: boots at the speed of an uncompressed one)."""
    options = ["-c", "-m", "4", "-W", "-O", "qcow2", "-o", "compression_type=zstd"]
    _run(["qemu-img", "convert", *options, str(raw), str(target)])


def _write_boot(disk: Disk, target: Path) -> None:
    """Format the FAT partition inside ``target``, put the files on it and install syslinux."""
    # By its name, from its own folder: mtools takes quotes, $ and @@ in an image's path for something of its own.
    partition, place = f"{target.name}@@{FIRST_PARTITION}", target.parent
    sectors = BOOT_SIZE // SECTOR
    # -H: the boot sector must say where on the disk it lies, or syslinux looks for itself in the wrong place.
    geometry = ["-T", str(sectors), "-h", "16", "-s", "63", "-H", str(FIRST_PARTITION // SECTOR)]
    _run(["mformat", "-i", partition, *geometry, "-v", "BOOT", "::"], cwd=place)
    _run(["syslinux", "--offset", str(FIRST_PARTITION), "--install", str(target)])
    _run(["mcopy", "-i", partition, str(disk.kernel), "::/vmlinuz"], cwd=place)
    _run(["mcopy", "-i", partition, str(disk.initrd), "::/initrd.img"], cwd=place)
    _run(["mcopy", "-i", partition, "-", "::/syslinux.cfg"], stdin=syslinux_config(disk), cwd=place)


def _boot_code() -> bytes:
    for file in MBR_FILES:
        if file.is_file():
            return file.read_bytes()[:BOOT_CODE]
    raise LabError(
        f"syslinux's boot code was not found (looked at {', '.join(map(str, MBR_FILES))})",
        "install the packages syslinux and syslinux-common",
    )


def _run(argv: Sequence[str], stdin: str | None = None, cwd: Path | None = None) -> None:
    """One tool of the build; it dies with this program."""
    run(contained(argv), stdin=stdin, label=" ".join(argv), env={"MTOOLS_SKIP_CHECK": "1"}, cwd=cwd).check()
