"""A host with nothing prepared: a newly made Debian in namespaces of its own, on this machine's kernel and network."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import registries
from hosts import remove_cgroups
from running import FOLDER, MARK, Inv

from lab.cache import remove
from lab.command import run
from lab.contained import contained
from lab.identity import Identity

#: Where fresh hosts lie: some GiB each, so not in /tmp, which may be memory.
PLACE = Path(os.environ.get("TMPDIR") or "/var/tmp") / "halab-fresh-hosts"

#: What is there on every Debian beside what its minimal variant brings.
PACKAGES = ("ca-certificates",)

SCRIPT = Path(__file__).with_name("freshhost.sh")

#: Seconds to make a minimal Debian from a mirror on a busy host.
MAKING = 900.0


def debian(root: Path, suite: str, packages: Sequence[str] = PACKAGES) -> None:
    """Make ``root`` a minimal Debian of that release which reaches its registries as this machine does."""
    listed = root.with_name(f"{root.name}.sources")
    listed.write_text(registries.sources_of(suite))
    argv = ["mmdebstrap", "--mode=root", "--format=directory", "--variant=minbase", "--dpkgopt=force-unsafe-io"]
    argv += ["--include=" + ",".join(packages), *(f"--aptopt={line}" for line in registries.apt_options())]
    made = run(contained([*argv, suite, str(root), str(listed)]), timeout=MAKING, label=f"mmdebstrap {suite}")
    made.check()
    registries.hand_over(root)


@dataclass(frozen=True)
class FreshHost:
    """A host that runs. ``init`` is its process 1 as this machine counts, ``clone`` the project's folder in it.

    ``mark`` stands in the environment of all that runs in it.
    """

    init: int
    root: Path
    clone: Path
    mark: str

    @property
    def enter(self) -> tuple[str, ...]:
        """The prefix that runs a command in it, as root who has just logged in."""
        own = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        own |= {"LANG": "C.UTF-8", "TERM": "dumb", MARK: self.mark, **registries.variables(os.environ)}
        namespaces = ["--mount", "--pid", "--uts", "--ipc"]
        words = [f"{name}={value}" for name, value in own.items()]
        return ("nsenter", f"--target={self.init}", *namespaces, "env", "-i", *words)

    def inv(self, lab: str) -> Inv:
        """``./inv`` of its clone."""
        return Inv(lab, self.clone, mark=self.mark, enter=self.enter)

    def run(self, command: str, seconds: float = 120.0) -> str:
        """What a shell command prints. Raises CommandError."""
        return run([*self.enter, "sh", "-euc", command], timeout=seconds, label=command).check().stdout


@contextmanager
def fresh_host(suite: str, shared: Sequence[Path] = (), place: Path = PLACE) -> Iterator[FreshHost]:
    """A new Debian with a clone of this project (what is committed); nothing of it is left at the end.

    ``shared`` are folders of this machine that it has at the same place.
    """
    with _folder(place, suite) as folder:
        root = folder / "root"
        debian(root, suite)
        clone = Path("/srv") / folder.name  # labs are called after it: none is there twice on a machine
        inside = root / clone.relative_to("/")
        subprocess.run(
            ["git", "clone", "--quiet", "--no-hardlinks", "--config=advice.detachedHead=false", FOLDER, inside],
            check=True,
        )
        with _running(root, shared) as init:
            yield FreshHost(init, root, clone, folder.name)


@contextmanager
def _running(root: Path, shared: Sequence[Path]) -> Iterator[int]:
    """The host's process 1, which ends with this program, however that ends, and everything in it with it."""
    argv = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]
    words = [*argv, "--", str(SCRIPT), str(root), *(str(path) for path in shared)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as holder:
        assert holder.stdout is not None and holder.stderr is not None
        assert holder.stdout.readline() == "ready\n", f"the fresh host did not start: {holder.stderr.read()}"
        (init,) = (int(pid) for pid in Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split())
        try:
            yield init
        finally:
            os.kill(init, signal.SIGKILL)  # with it ends all that it contains, before its end is told


@contextmanager
def _folder(place: Path, suite: str) -> Iterator[Path]:
    """A new folder for a host, removed at the end. As long as this program lives, nobody takes it for left behind."""
    place.mkdir(exist_ok=True)
    with _locked(place):
        sweep(place)
        folder = Path(tempfile.mkdtemp(prefix=f"{suite}-", dir=place))
        held = ExitStack()
        held.enter_context(_locked(folder))
    with held:
        try:
            yield folder
        finally:
            _discard(folder)


@contextmanager
def _locked(folder: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """The folder is this program's alone. Raises BlockingIOError where ``how`` says not to wait for it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def sweep(place: Path) -> None:
    """Remove the hosts whose test was killed."""
    for folder in place.iterdir():
        with suppress(BlockingIOError), _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):  # else it is in use
            _discard(folder)


def _discard(folder: Path) -> None:
    """Remove a host that runs no longer: its files, and the control groups of labs that it did not destroy itself."""
    for state in folder.glob("root/srv/*/.lab/*/"):
        clone = Path("/") / state.parent.parent.relative_to(folder / "root")
        remove_cgroups(Identity(state.name, clone).prefix)
    remove(folder)
