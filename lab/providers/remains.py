"""What a lab has on a host while its folder is gone or damaged: found by the lab's names, and removed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import IPv4Interface

from lab.command import LineSink, Note
from lab.definition import Definition
from lab.errors import LabError
from lab.identity import Identity
from lab.plan.site import Site, VirtualSite
from lab.providers.libvirt import connection as virt
from lab.providers.libvirt import leftovers
from lab.providers.libvirt.daemon import RemoteDaemon, SystemDaemon
from lab.providers.libvirt.private import PrivateDaemon
from lab.providers.lxc import LxcProvider

#: LXC must be asked from within the lab's namespace, whatever the host's address in it was.
ANYWHERE = IPv4Interface("169.254.0.1/16")


@dataclass(frozen=True)
class Remains:
    """All that lies under one lab's names, whichever provider made it; ``site`` and ``definition`` where readable."""

    identity: Identity
    site: Site | None = None
    definition: Definition | None = None

    def remove_all(self, sink: LineSink) -> list[str]:
        """Remove it; returns what was removed, in words. Nothing there is no error.

        Raises LabError where something of the lab is known to be and cannot be reached.
        """
        # Before all else: when it does not answer, all that tells of it must stay.
        removed = self._purge_libvirt(sink)
        daemon = PrivateDaemon.of(self.identity, ANYWHERE)
        if os.geteuid() != 0:
            self._refuse_what_is_roots(daemon)
            return removed
        for line in daemon.end():
            removed.append(line)
            sink(f"removed {line}")
        removed += LxcProvider(self.identity, daemon.network, {}).remove_all(sink)
        for line in daemon.remove():
            removed.append(line)
            sink(f"removed {line}")
        return removed

    def _purge_libvirt(self, sink: LineSink) -> list[str]:
        """Purge the libvirt that is known to have machines of the lab, and the system's where there is one."""
        system, known = SystemDaemon(), self._libvirt()
        removed = leftovers.purge_at(_daemon(known), self.identity) if known else []
        if known != system.uri and system.running():
            try:
                virt.library()
            except LabError as error:
                # Who has only containers can do without the library.
                sink(Note(f"libvirt at {system.uri} was not searched: {error.message}"))
            else:
                removed += leftovers.purge_at(system, self.identity)
        for line in removed:
            sink(f"removed {line}")
        return removed

    def _libvirt(self) -> str:
        """The URI of the libvirt that is known to have machines of the lab, "" when none is."""
        if self.site is not None:
            return self.site.uri if isinstance(self.site, VirtualSite) and self.site.daemon != "private" else ""
        daemon = PrivateDaemon.of(self.identity, ANYWHERE)
        if not self._noted("libvirt") or daemon.folder.exists() or daemon.run.exists():
            return ""
        return (self.definition.libvirt.uri if self.definition is not None else "") or SystemDaemon().uri

    def _noted(self, provider: str) -> bool:
        """Has Vagrant noted machines of this provider? It does before it makes them."""
        return any((self.identity.state / ".vagrant" / "machines").glob(f"*/{provider}"))

    def _refuse_what_is_roots(self, daemon: PrivateDaemon) -> None:
        """Raise LabError when there is something that only root can remove: it must not count as nothing."""
        found = [str(path) for path in (daemon.network.path, daemon.folder, daemon.run) if path.exists()]
        if self._noted("lxc"):
            found.append("Vagrant's notes of its containers")
        if found:
            raise LabError(
                f"lab {self.identity.name} has what only root can remove: {', '.join(found)}",
                f"sudo ./inv destroy --lab {self.identity.name}",
            )


def _daemon(uri: str) -> SystemDaemon | RemoteDaemon:
    return RemoteDaemon(uri) if "+" in uri else SystemDaemon(uri)
