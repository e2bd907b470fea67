"""What a lab keeps in its folder: the definition it was made from, the site it was made for, and who works on it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from lab.command import shown
from lab.errors import LabError
from lab.host import files
from lab.host.locks import acquired
from lab.identity import Identity
from lab.model import allocations
from lab.model.allocations import Allocations
from lab.plan.site import Site, record, site_of
from lab.stage import Stage

#: The file of a lab's folder that the command holds which changes the lab.
LOCK = "lock"

#: The file of a lab's folder with what each node was given.
ALLOCATIONS = "allocations.json"

#: How often a folder is made that others remove at that very moment.
LOCK_TRIES = 10


class MovedError(LabError):
    """The lab was made in another folder: its machines are called after that one, and would not be found from here."""


@dataclass(frozen=True)
class State:
    """The folder .lab/NAME/ of one lab."""

    identity: Identity

    @property
    def folder(self) -> Path:
        """The folder itself."""
        return self.identity.state

    @property
    def definition(self) -> Path:
        """A copy of the definition that the lab was brought up from."""
        return self.folder / "definition.yaml"

    @property
    def ssh_config(self) -> Path:
        """How ssh reaches the machines."""
        return self.folder / "ssh_config"

    @property
    def stage(self) -> Stage | None:
        """How far an earlier ``up`` brought the lab, or began to; None before the first."""
        file = self.folder / "stage"
        if not file.is_file():
            return None
        try:
            return Stage(file.read_text().strip())
        except ValueError as error:
            raise LabError(f"{file} is damaged: {error}", f"write one of {', '.join(Stage)} into it") from error

    @property
    def borrowed(self) -> str:
        """The definition whose load balancer the lab has instead of its own, while a bench compares them; else ""."""
        file = self.folder / "borrowed"
        return file.read_text().strip() if file.is_file() else ""

    def borrow_settings(self, name: str) -> None:
        """The lab is about to get another definition's load balancer."""
        self.write("borrowed", f"{name}\n")

    def return_settings(self) -> None:
        """The lab has its own load balancer again."""
        (self.folder / "borrowed").unlink(missing_ok=True)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's credential, readable by its owner only."""
        return self.folder / "kubeconfig"

    @property
    def founded(self) -> bool:
        """Was the lab's cluster once whole? Somebody may have put something into it since."""
        # A lab of an earlier version has the credential alone.
        return (self.folder / "founded").is_file() or self.kubeconfig.is_file()

    def found(self, kubeconfig: str) -> None:
        """Every machine is a member: keep the administrator's credential, and that there is a cluster to be kept."""
        self.write("founded", "")
        self.write("kubeconfig", kubeconfig, 0o600)

    def give_up_cluster(self) -> None:
        """The cluster is about to be taken apart: what is left of it is nothing to be kept any more."""
        self.kubeconfig.unlink(missing_ok=True)
        (self.folder / "founded").unlink(missing_ok=True)

    @property
    def runs(self) -> Path:
        """A folder a run."""
        return self.folder / "runs"

    @property
    def sockets(self) -> Path:
        """Shared ssh connections; not in the folder, because a socket's path may have 107 characters only (unix(7))."""
        if os.geteuid() == 0:
            return Path("/run/halab") / self.identity.prefix
        own = os.environ.get("XDG_RUNTIME_DIR")
        return (Path(own) / "halab" if own else Path(f"/tmp/halab-{os.geteuid()}")) / self.identity.prefix

    def load_site(self) -> Site | None:
        """The site that the lab was made for, or None before its first ``up``.

        Raises LabError when it is damaged, MovedError when it was made for another folder than this.
        """
        file = self.folder / "site.json"
        if not file.is_file():
            return None
        try:
            data: dict[str, Any] = {**json.loads(file.read_text())}
            made_in = Path(data.pop("folder", self.identity.folder))  # one of an earlier version has none
            site = site_of(self.identity, data)
        except (ValueError, TypeError) as error:
            raise LabError(
                f"{file} is damaged: {error}", "./inv destroy removes the lab, ./inv up makes it anew"
            ) from error
        if made_in != self.identity.folder:
            raise self._moved(made_in)
        return site

    def _moved(self, made_in: Path) -> MovedError:
        """What a person is told whose clone is not where the lab was made, and what to do."""
        name, here = self.identity.name, self.identity.folder
        message = f"lab {name} was made in {made_in}, and this clone is {here}"
        there = State(Identity(name, made_in)).folder
        if there.is_dir() and there.samefile(self.folder):
            return MovedError(f"{message}: the same folder by another path", shown(["cd", str(made_in)]))
        if (there / "site.json").is_file():
            return MovedError(
                f"{message}: it is a copy",
                f"the lab belongs to that one; what was copied of it goes by {shown(['rm', '-r', str(self.folder)])}",
            )
        back = shown(["mv", "-T", str(here), str(made_in)])
        return MovedError(
            f"{message}: it was moved", f"{back}; before it is moved again: ./inv destroy --lab {name} there"
        )

    def store_site(self, site: Site) -> None:
        """Keep the site, and the folder that all names on the host are made of."""
        data = {"folder": str(self.identity.folder), **record(site)}
        self.write("site.json", json.dumps(data, indent=1) + "\n")

    def load_allocations(self) -> Allocations | None:
        """What each node was given; None before the first ``up``, and for a lab of an earlier version.

        Raises LabError when it is damaged.
        """
        file = self.folder / ALLOCATIONS
        if not file.is_file():
            return None
        try:
            return allocations.read(file.read_text())
        except ValueError as error:
            raise LabError(
                f"{file} is damaged: {error}", "./inv destroy removes the lab, ./inv up makes it anew"
            ) from error

    def store_allocations(self, given: Allocations) -> None:
        """Keep what each node was given."""
        self.write(ALLOCATIONS, allocations.text(given))

    def write(self, name: str, text: str, mode: int = 0o644) -> Path:
        """Write a file of the folder whole or not at all."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write(file, text, mode)
        return file

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Only one command at a time may change a lab; raises LabError when another one is at it.

        Who has the lock may remove all that the folder holds; a folder with nothing else left in it goes with its lock.
        """
        lock = self._acquire()
        try:
            yield
        finally:
            try:
                self._tidy()
            finally:
                lock.release()

    def _acquire(self) -> FileLock:
        """The lock, held."""
        name = self.identity.name
        busy = LabError(f"another command is changing lab {name}", "wait for it, or end it, then try again")
        for _ in range(LOCK_TRIES):
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                return acquired(self.folder / LOCK, 0, busy)
            except FileNotFoundError:
                continue  # the folder was removed between two of these lines: it is made anew
        raise busy

    def clear(self) -> None:
        """Remove everything that the folder holds; its lock, which must be held, stays until it is given up."""
        for path in self.folder.iterdir():
            if path.name != LOCK:
                delete(path)

    def _tidy(self) -> None:
        """Remove the folder when there is nothing but its lock, which is held: a lab that never was leaves nothing.

        From the moment in which the lock's name is gone somebody else may make folder and lock anew; then both stay.
        """
        with suppress(OSError):  # gone already, or no longer empty
            if [path.name for path in self.folder.iterdir()] == [LOCK]:
                (self.folder / LOCK).unlink()
                self.folder.rmdir()
                self.folder.parent.rmdir()


def delete(path: Path) -> None:
    """Remove a file, or a folder with all that it holds; what is not there is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
