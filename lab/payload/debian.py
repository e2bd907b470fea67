"""The source "debian": Kubernetes compiled on this host from Debian 12's source package."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.box.components import digest
from lab.cache import GIB, Cache, Entry
from lab.command import LineSink
from lab.debian.sources import AptError, configured
from lab.kubernetes.release import ON_MACHINES, Release
from lab.payload import archive, images, programs
from lab.payload.base import Availability

HERE = Path(__file__).parent

#: The small stand-in for crictl, which Debian has not.
CRICTL = HERE.parent.parent / "provision/kubernetes/crictl"

#: Disk in bytes while the images are written (archives 0.4, a layer 0.1, unpacked packages 0.2 GiB; measured).
SPACE = 1 * GIB


@dataclass(frozen=True)
class DebianPayload:
    """Kubernetes from Debian 12. Takes minutes once; the programs and the images are two entries of the cache."""

    release: Release
    name: str = "debian"

    @property
    def version(self) -> str:
        """The release's version."""
        return self.release.version

    def available(self) -> Availability:
        """Needs mmdebstrap, which brings the compiler, and a configured source of Debian 12."""
        if shutil.which("mmdebstrap") is None:
            return Availability(False, "to compile it, the package mmdebstrap is missing")
        if os.uname().machine not in archive.ARCHITECTURES:
            return Availability(False, f"processor {os.uname().machine} is not supported")
        try:
            configured()
        except AptError as error:
            return Availability(False, error.message)
        return Availability(True, "compiled here from Debian 12's own source package")

    def prepare(self, cache: Cache, sink: LineSink, refresh: bool = False) -> Path:
        """The tree in the cache, compiled when it is not there. Raises LabError."""
        return self.tree(cache).build(lambda folder: self._make(folder, cache, sink, refresh), refresh, SPACE, sink)

    def tree(self, cache: Cache) -> Entry:
        """Where the payload lies in the cache."""
        files = [HERE / name for name in ("debian.py", "images.py", "archive.py")]
        files += [CRICTL] if self.release.crictl else []
        inputs = {
            "programs": self.binaries(cache).key,
            "builder": digest(*files),
            "images": " ".join(self.release.images),
        }
        return cache.entry("payload", self.name, inputs)

    def space(self, cache: Cache, refresh: bool = False) -> int:
        """Less when the programs are compiled already."""
        compiled = self.binaries(cache).ready and not refresh
        return SPACE if compiled else SPACE + programs.SPACE

    def binaries(self, cache: Cache) -> Entry:
        """Where the compiled programs lie in the cache."""
        files = [HERE / name for name in ("programs.py", "toolchain.py", "toolchain.sh", programs.PAUSE.name)]
        inputs = {
            "version": self.version,
            "programs": " ".join(programs.PROGRAMS),
            "builder": digest(*files),
            "machine": os.uname().machine,
        }
        return cache.entry("programs", "kubernetes", inputs)

    def _make(self, folder: Path, cache: Cache, sink: LineSink, refresh: bool) -> Mapping[str, object]:
        compiled = self.binaries(cache)
        binaries = compiled.build(
            lambda target: programs.build(self.version, target, sink), refresh, programs.SPACE, sink
        )
        (folder / "bin").mkdir()
        for name in ON_MACHINES:
            os.link(binaries / name, folder / "bin" / name)
        if self.release.crictl:
            shutil.copy(CRICTL, folder / "bin/crictl")
            (folder / "bin/crictl").chmod(0o755)
        (folder / "images").mkdir()
        packages = images.build(self.release, folder / "images", binaries, sink)
        return {**compiled.manifest["versions"], "packages": packages}
