"""Does hardware virtualisation really work here? Flags first, then a tiny guest with a time limit; never the mere file.

/dev/kvm may exist and be useless: a paravirtual KVM without vmx or svm lets QEMU abort or hang (seen on rented hosts).
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from xml.etree import ElementTree

from lab.command import CommandTimeout, run
from lab.errors import LabError, UsageError
from lab.host.processor import CPUINFO, KVM, virtualisation_flag
from lab.providers.libvirt import connection as virt

EMULATOR = "qemu-system-x86_64"

#: Seconds for the probe guest. It takes 0.2 s under emulation and no longer with a good KVM; a useless one took 3.6 s.
PROBE_SECONDS = 3.0

#: I/O port of QEMU's isa-debug-exit device, by which a guest ends QEMU with a status of its own.
EXIT_PORT = 0xF4

#: What the guest writes there; QEMU then ends with status 2 × value + 1 (hw/misc/debugexit.c).
EXIT_VALUE = 0x2A
EXIT_STATUS = 2 * EXIT_VALUE + 1

SECTOR = 512


@dataclass(frozen=True)
class Driver:
    """The chosen driver (kvm or qemu) and why, for people."""

    name: str
    why: str


def choose(wanted: str, uri: str = "") -> Driver:
    """The driver for a definition's ``libvirt.driver`` on the libvirt at ``uri`` ("" or local: this host).

    Raises UsageError when kvm is demanded and does not work.
    """
    if wanted == "qemu":
        return Driver("qemu", "the definition wants plain emulation")
    trouble = remote_kvm_trouble(uri) if "+" in uri.partition("://")[0] else local_kvm_trouble()
    if not trouble:
        return Driver(
            "kvm", "hardware virtualisation works: a probe guest ran" if "+" not in uri else "its host offers KVM"
        )
    if wanted == "kvm":
        raise UsageError(f"libvirt.driver kvm does not work here: {trouble}", "libvirt.driver: auto, or qemu")
    return Driver("qemu", f"plain emulation, because {trouble}")


def local_kvm_trouble() -> str:
    """Why KVM does not work on this host, "" when it does."""
    if not virtualisation_flag(CPUINFO.read_text()):
        there = " (/dev/kvm exists, but that alone says nothing)" if KVM.exists() else ""
        return f"the processor shows neither vmx nor svm{there}"
    if not KVM.exists():
        return "there is no /dev/kvm: load the module kvm_intel or kvm_amd, or switch virtualisation on in the firmware"
    if not os.access(KVM, os.R_OK | os.W_OK):
        return "this user may not use /dev/kvm: join the group kvm"
    return guest_trouble("kvm")


def guest_trouble(accelerator: str, emulator: str = EMULATOR, seconds: float = PROBE_SECONDS) -> str:
    """Why a tiny guest does not run with this accelerator, "" when it does.

    The guest is one boot sector: the firmware must come up (real and protected mode, interrupts, a disk), read it and
    jump to it, and it must reach a device.
    """
    with tempfile.NamedTemporaryFile(prefix="probe-", suffix=".img") as disk:
        disk.write(boot_sector())
        disk.flush()
        image = disk.name.replace(",", ",,")  # QEMU parts options at single commas
        argv = [
            emulator,
            *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-m", "32"),
            *("-accel", accelerator),
            *("-device", f"isa-debug-exit,iobase={EXIT_PORT:#x},iosize=0x01"),
            *("-drive", f"file={image},format=raw,if=ide,snapshot=on"),
        ]
        try:
            result = run(argv, timeout=seconds, label=f"probe guest ({accelerator})")
        except CommandTimeout:
            return f"a probe guest hung for {seconds:.0f} s with accelerator {accelerator}"
        except LabError as error:
            return str(error)
    if result.status == EXIT_STATUS:
        return ""
    return f"a probe guest ended with status {result.status}: {result.tail(2) or 'silently'}"


def boot_sector() -> bytes:
    """512 bytes: mov al,VALUE; out PORT,al; hlt; jmp to the hlt; and the signature that makes it bootable."""
    code = bytes([0xB0, EXIT_VALUE, 0xE6, EXIT_PORT, 0xF4, 0xEB, 0xFD])
    return code.ljust(SECTOR - 2, b"\0") + b"\x55\xaa"


def remote_kvm_trouble(uri: str) -> str:
    """Why the libvirt of another host offers no KVM, "" when it does (no probe guest can be run there)."""
    with virt.connect(uri) as connection:
        return capabilities_trouble(connection.getCapabilities())


def capabilities_trouble(xml: str) -> str:
    """The same from libvirt's description of the host."""
    tree = ElementTree.fromstring(xml)
    domains = {domain.get("type") for domain in tree.findall("guest/arch[@name='x86_64']/domain")}
    if "kvm" in domains:
        return ""
    return "the remote libvirt offers no KVM for x86_64"
