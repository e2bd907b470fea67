"""Which provider a lab gets on this host, and why."""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path

from lab.errors import LabError
from lab.identity import Identity
from lab.providers.base import Provider
from lab.providers.lxc import LxcProvider
from lab.providers.namespace import NetworkNamespace
from lab.topology import Topology


@dataclass(frozen=True)
class Choice:
    """A provider's name, with the reason in words."""

    provider: str
    why: str


def has_virtualisation(cpuinfo: str) -> bool:
    """Does the processor say that it can run virtual machines (Intel's vmx or AMD's svm flag)?

    /dev/kvm alone proves nothing: it exists on hosts where no stock kernel runs on it.
    """
    return any(
        flag in line.split() for line in cpuinfo.splitlines() if line.startswith("flags") for flag in ("vmx", "svm")
    )


def choose(wanted: str) -> Choice:
    """``wanted`` is the definition's or the command line's word: auto, libvirt or lxc."""
    if wanted != "auto":
        return Choice(wanted, "asked for")
    if not has_virtualisation(Path("/proc/cpuinfo").read_text()):
        return Choice("lxc", "the processor shows neither vmx nor svm, so that virtual machines would be emulated")
    if not Path("/dev/kvm").exists():
        return Choice("lxc", "the processor could, but there is no /dev/kvm (kernel module kvm_intel or kvm_amd)")
    return Choice("libvirt", "hardware virtualisation is there")


def make(name: str, identity: Identity, topology: Topology) -> Provider:
    """The provider object for a lab. Raises LabError where the host lacks the right to use it."""
    if name == "libvirt":
        from lab.providers import libvirt  # the bindings are an extra: labs in containers do without

        return libvirt.make(identity, topology)
    if os.geteuid() != 0:
        raise LabError("system containers need root on this host", "sudo ./inv up, or --provider libvirt")
    host = IPv4Interface(f"{topology.gateway}/{topology.prefix_length}")
    network = NetworkNamespace(identity.namespace, host)
    return LxcProvider(identity, network, {node.name: str(node.address) for node in topology.nodes})
