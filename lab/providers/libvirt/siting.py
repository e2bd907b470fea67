"""What a new lab of virtual machines is made for: which daemon, which driver, and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.definition import Definition
from lab.definition.driver import EMULATION
from lab.definition.models import Box
from lab.errors import UsageError
from lab.plan.site import Daemon
from lab.providers.libvirt import daemon, probe
from lab.providers.libvirt.daemon import DaemonKind
from lab.providers.libvirt.probe import Driver

#: QEMU with a small cache of translated code, for a private daemon only: others may not run programs from a clone.
EMULATOR = Path(__file__).with_name("emulator.sh")


@dataclass(frozen=True)
class Hypervisor:
    """What was chosen, each with its reason. ``uri`` is what Vagrant is told."""

    daemon: DaemonKind
    driver: Driver
    uri: str

    @property
    def emulator(self) -> Path | None:
        """A program in QEMU's place."""
        return EMULATOR if self.daemon.kind == "private" and self.driver.name == EMULATION else None

    @property
    def told(self) -> tuple[str, str]:
        """A line a decision, for people."""
        daemon, driver = self.daemon, self.driver
        return f"libvirt: {daemon.kind}, {daemon.why}", f"driver {driver.name}: {driver.why}"


def choose(definition: Definition) -> Hypervisor:
    """Daemon and driver for a definition on this host. Raises UsageError where what it wants cannot work."""
    uri = definition.libvirt.uri
    kind = daemon.choose_kind(uri)
    return Hypervisor(kind, probe.choose(definition.libvirt.driver, uri), uri or "qemu:///system")


def refuse_unreachable(box: Box, kind: Daemon | None, state: Path) -> None:
    """Raise UsageError for a public box that Vagrant could not fetch: a private daemon's network leads nowhere.

    ``kind`` is the daemon's, ``state`` the lab's folder, in which Vagrant keeps the boxes that were added before.
    """
    if not box.name or kind != "private" or box.url.startswith(("file://", "/")):
        return
    home = state / "vagrant"
    # Vagrant's own spelling of a box's name as a folder.
    added = home / "boxes" / box.name.replace("/", "-VAGRANTSLASH-") / box.version
    if added.is_dir():
        return
    version = f" --box-version {box.version}" if box.version else ""
    raise UsageError(
        f"machine.box.name {box.name}: no libvirt daemon runs on this host, and the network of a lab with one of "
        "its own leads nowhere: neither Vagrant nor the machines could download anything",
        "start the system's daemon (systemctl start libvirtd); or, with a box that holds all packages already, give "
        "machine.box.url a file:// URL or add it before: "
        f"VAGRANT_HOME={home} vagrant box add --provider libvirt{version} {box.name}",
    )
