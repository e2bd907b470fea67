"""What a new lab of virtual machines is made for: which daemon, which driver, and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.definition import Definition
from lab.definition.models import Box
from lab.errors import UsageError
from lab.providers.libvirt import daemon, probe

#: QEMU with a small cache of translated code, for a private daemon only: others may not run programs from a clone.
EMULATOR = Path(__file__).with_name("emulator.sh")


@dataclass(frozen=True)
class Hypervisor:
    """The choice. ``uri`` is what Vagrant is told; ``why`` holds a line a decision."""

    daemon: str
    driver: str
    uri: str
    emulator: str
    why: tuple[str, ...]


def choose(definition: Definition) -> Hypervisor:
    """Daemon and driver for a definition on this host. Raises UsageError where what it wants cannot work."""
    uri = definition.libvirt.uri
    kind, reason = daemon.choose_kind(uri)
    driver = probe.choose(definition.libvirt.driver, uri)
    emulator = str(EMULATOR) if kind == "private" and driver.name == "qemu" else ""
    return Hypervisor(
        daemon=kind,
        driver=driver.name,
        uri=uri or "qemu:///system",
        emulator=emulator,
        why=(f"libvirt: {kind}, {reason}", f"driver {driver.name}: {driver.why}"),
    )


def refuse_unreachable(box: Box, kind: str, state: Path) -> None:
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
