"""The lab's own network namespace, and the bridge in it on which the machines hang.

No address of the lab ever appears in the host's own namespace: the host reaches the lab by entering this one.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path

from lab.command import Result, run
from lab.errors import LabError
from lab.providers.entered import entered

#: Where iproute2 keeps named network namespaces (ip-netns(8)).
NETNS_FOLDER = Path("/run/netns")

#: The bridge's name. It is alone in its namespace, so that it needs no lab's name.
BRIDGE = "br0"

ENTER_SCRIPT = Path(__file__).with_name("enter.sh")


@dataclass(frozen=True)
class NetworkNamespace:
    """A network namespace with one bridge; ``host`` is the address that the host has on it."""

    name: str
    host: IPv4Interface

    @property
    def path(self) -> Path:
        """The file that keeps the namespace alive without any process in it."""
        return NETNS_FOLDER / self.name

    @property
    def exists(self) -> bool:
        """Is there such a namespace? (A file alone is none: a crash may leave one behind.)"""
        return self.path.exists() and os.path.ismount(self.path)

    def enter(self) -> tuple[str, ...]:
        """The prefix that runs a command inside (see enter.sh)."""
        return ("nsenter", f"--net={self.path}", "unshare", "--mount", str(ENTER_SCRIPT))

    def ensure(self) -> bool:
        """Make the namespace and its bridge, or finish what an interrupted call began; True when something lacked."""
        changed = False
        if not self.exists:
            self.path.unlink(missing_ok=True)
            run(["ip", "netns", "add", self.name]).check("creating a network namespace needs root: see ./inv doctor")
            changed = True
        if not self._ip("link", "show", "dev", BRIDGE).ok:
            self._ip("link", "add", BRIDGE, "type", "bridge", "forward_delay", "0").check()
            changed = True
        if f" {self.host} " not in self._ip("-o", "addr", "show", "dev", BRIDGE).check().stdout:
            self._ip("addr", "replace", str(self.host), "dev", BRIDGE).check()
            changed = True
        for link in ("lo", BRIDGE):
            self._ip("link", "set", link, "up").check()
        return changed

    def pids(self) -> list[int]:
        """The processes that live in the namespace (the containers have namespaces of their own)."""
        if not self.exists:
            return []
        return [int(pid) for pid in run(["ip", "netns", "pids", self.name]).check().stdout.split()]

    def entered(self) -> list[str]:
        """What people run inside by ``./inv enter`` and ``kubectl``, in words."""
        return entered(self.pids())

    def end(self, pids: Sequence[int]) -> None:
        """Kill processes that live inside. Raises LabError, before any is, when this program is one of them."""
        if os.getpid() in pids:
            raise LabError("this command runs inside the lab's network", "leave the shell of ./inv enter first")
        for pid in pids:
            try:
                # A handle on this very process: since the listing its number may have been given away.
                handle = os.pidfd_open(pid)
            except ProcessLookupError:
                continue  # it has ended by itself
            try:
                if self._holds(pid):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            except ProcessLookupError:
                continue
            finally:
                os.close(handle)

    def remove(self) -> bool:
        """End what still runs inside, then remove the namespace with all in it; False when there was none."""
        if not self.exists:
            leftover = self.path.exists()
            self.path.unlink(missing_ok=True)
            return leftover
        self.end(self.pids())
        run(["ip", "netns", "delete", self.name]).check()
        return True

    def _holds(self, pid: int) -> bool:
        """Does the process live in the namespace?"""
        try:
            return os.path.samestat(Path(f"/proc/{pid}/ns/net").stat(), self.path.stat())
        except OSError:
            return False

    def _ip(self, *args: str) -> Result:
        return run(["ip", "-n", self.name, *args])
