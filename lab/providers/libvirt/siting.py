"""What a new lab of virtual machines is made for: which daemon, which driver, and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.definition import Definition
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
