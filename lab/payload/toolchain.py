"""Debian 12's compiler in a root file system of its own: the host needs none, whatever Debian it runs.

Its packages are unpacked and not installed (mmdebstrap's variant "extract"), which takes a third of the time: neither
Go nor dpkg-source wants to be configured. What runs in it sees this file system, one folder to work in, and nothing of
the host: no environment, no network, no /proc.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.command import LineSink, Result, run
from lab.contained import contained
from lab.debian.rootfs import mmdebstrap

SCRIPT = Path(__file__).with_name("toolchain.sh")

#: Go, the one of Go's packages that replaces a vendored one, what unpacks Debian's source packages, and what all
#: packages rely on without saying so.
PACKAGES = ("golang-1.19-go", "golang-github-modern-go-reflect2-dev", "dpkg-dev", "?essential")

#: Where Debian's Go 1.19 lies inside.
GO_ROOT = Path("/usr/lib/go-1.19")

#: Where Debian's packages of Go's sources lie inside.
GO_SOURCES = Path("/usr/share/gocode/src")

#: Where the folder to work in is found inside, wherever clone and cache lie.
WORK = Path("/work")

#: All of the environment inside. The GOPATH mode of Go 1.15, everything below WORK.
ENVIRONMENT: Mapping[str, str] = {
    "CGO_ENABLED": "0",
    "GO111MODULE": "off",
    "GOCACHE": f"{WORK}/gocache",
    "GOENV": "off",
    "GOPATH": f"{WORK}/go",
    "GOROOT": str(GO_ROOT),
    "LC_ALL": "C",
    "PATH": f"{GO_ROOT}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TMPDIR": f"{WORK}/tmp",
}


@dataclass(frozen=True)
class Toolchain:
    """An unpacked toolchain. ``root`` is its file system, ``work`` the folder that it finds as WORK. Needs root."""

    root: Path
    work: Path

    @classmethod
    def unpack(cls, root: Path, work: Path, sink: LineSink) -> Toolchain:
        """Make one in ``root`` from the host's configured sources (600 MB). Raises LabError as mmdebstrap does."""
        sink("Debian 12's compiler")
        mmdebstrap(root, PACKAGES, sink, variant="extract")
        return cls.at(root, work)

    @classmethod
    def at(cls, root: Path, work: Path) -> Toolchain:
        """The one that lies in ``root``, with all that is mounted over."""
        for folder in (work / "tmp", root / "dev", root / WORK.relative_to("/")):
            folder.mkdir(parents=True, exist_ok=True)
        return cls(root, work)

    @property
    def go_version(self) -> str:
        """What Go calls itself ("go1.19.8")."""
        return self.host(GO_ROOT / "VERSION").read_text().splitlines()[0]

    def host(self, path: Path) -> Path:
        """Where the host finds a path of the root file system."""
        return self.root / path.relative_to("/")

    def run(
        self,
        argv: Sequence[str],
        *,
        label: str,
        timeout: float,
        folder: Path = WORK,
        sink: LineSink | None = None,
    ) -> Result:
        """Run a command inside, in ``folder`` (a path inside), to its end; see lab.command.run.

        It ends with this program, and so do its mounts.
        """
        environment = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
        enter = ["env", "-i", *environment, "unshare", "--net", f"--root={self.root}", f"--wd={folder}", "--"]
        command = [str(SCRIPT), str(self.root), str(self.work), *enter, *argv]
        return run(contained(command), timeout=timeout, sink=sink, label=label)
