"""containerd's state with all images imported, made once: machines are born with it instead of importing 340 MB each.

Layers and contents never change, so machines on the cache's file system share them by hard links. Then the kernel keeps
one copy of each program in memory, however many machines run it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from lab.cache import GIB, MANIFEST, Cache, CacheError, Entry, remove
from lab.command import LineSink, run
from lab.contained import contained
from lab.debian.rootfs import installed
from lab.errors import LabError

SCRIPT = Path(__file__).with_name("seed.sh")

#: Disk in bytes: the layers once as archives and once unpacked (measured: 0.7 GiB).
SPACE = 1 * GIB

#: Seconds for the import: 10 on two idle cores (measured).
TIMEOUT = 600.0

#: Who wrote the state decides how it looks.
RUNTIME = ("containerd", "runc")


def prepare(cache: Cache, rootfs: Path, payload: Path, sink: LineSink, refresh: bool = False) -> Path:
    """The seed for machines of this root file system and payload (a folder to copy to /var/lib/containerd). Needs root.

    Raises CacheError when the payload's manifest cannot be read, CommandError when containerd fails.
    """
    wanted = entry(cache, rootfs, payload)
    if os.geteuid() != 0 and not wanted.ready:
        raise LabError("preparing the machines' images needs root", "run the command as root; see ./inv doctor")
    return wanted.build(lambda folder: _make(folder, rootfs, payload, sink), refresh, SPACE, sink) / "containerd"


def entry(cache: Cache, rootfs: Path, payload: Path) -> Entry:
    """Where the seed lies: decided by the images' contents, the runtime's version and this builder."""
    return cache.entry(
        "seed",
        "containerd",
        {
            "images": images_digest(payload),
            "runtime": json.dumps(runtime(rootfs)),
            "builder": hashlib.sha256(SCRIPT.read_bytes()).hexdigest(),
        },
    )


def images_digest(payload: Path) -> str:
    """One hash over the names and contents of the payload's images, as its manifest has them."""
    try:
        files = json.loads((payload / MANIFEST).read_text())["files"]
    except (OSError, ValueError, KeyError) as error:
        raise CacheError(f"{payload / MANIFEST}: {error}", "run the command again with --refresh") from error
    images = {name: recorded["sha256"] for name, recorded in sorted(files.items()) if name.startswith("images/")}
    return hashlib.sha256(json.dumps(images).encode()).hexdigest()


def runtime(rootfs: Path) -> dict[str, str]:
    """The versions of the container runtime's packages in the machines."""
    versions = installed(rootfs)
    return {name: versions[name] for name in RUNTIME if name in versions}


def _make(folder: Path, rootfs: Path, payload: Path, sink: LineSink) -> Mapping[str, object]:
    work = folder / "work"
    work.mkdir()
    argv = [str(SCRIPT), str(rootfs), str(payload), str(folder / "containerd"), str(work)]
    run(contained(argv, privileged=True), timeout=TIMEOUT, sink=sink, label="import of the images").check()
    remove(work)
    return runtime(rootfs)
