"""Which provider a lab gets on this host, and why."""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path

from lab import keypair
from lab.definition import Definition, DefinitionError, Severity, check
from lab.definition.provider import for_virtual_machines
from lab.errors import LabError
from lab.plan.site import Site, VirtualSite
from lab.providers.base import Provider
from lab.providers.libvirt.probe import local_kvm_trouble
from lab.providers.lxc import LxcProvider
from lab.providers.namespace import NetworkNamespace
from lab.providers.vagrant import WELL_KNOWN_KEY
from lab.topology import Topology


@dataclass(frozen=True)
class Choice:
    """A provider's name, with the reason in words."""

    provider: str
    why: str


def choose(wanted: str, definition: Definition) -> Choice:
    """``wanted`` is the definition's or the command line's word: auto, libvirt or lxc.

    Raises DefinitionError where the definition sets what machines of that provider cannot have.
    """
    chosen = _choose(wanted, definition)
    # Judged by what will really be made, whatever word stands in the definition.
    problems = check(definition.model_copy(update={"provider": chosen.provider}))
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise DefinitionError(f"lab {definition.name} with provider {chosen.provider}", problems)
    return chosen


def _choose(wanted: str, definition: Definition) -> Choice:
    if wanted != "auto":
        return Choice(wanted, "asked for")
    if fields := for_virtual_machines(definition):
        return Choice("libvirt", f"the definition sets {' and '.join(fields)}, which only virtual machines have")
    if trouble := local_kvm_trouble():
        return Choice("lxc", f"virtual machines would be emulated: {trouble}")
    return Choice("libvirt", "hardware virtualisation works: a probe guest ran")


def make(site: Site, topology: Topology) -> Provider:
    """The provider object for a lab. Raises LabError where the host lacks the right to use it."""
    if isinstance(site, VirtualSite):
        from lab.providers import libvirt  # the bindings are an extra: labs in containers do without

        return libvirt.make(site, topology)
    if os.geteuid() != 0:
        raise LabError("system containers need root on this host", "sudo ./inv up, or --provider libvirt")
    host = IPv4Interface(f"{topology.gateway}/{topology.prefix_length}")
    network = NetworkNamespace(site.identity.namespace, host)
    addresses = {node.name: str(node.address) for node in topology.nodes}
    # Containers of an earlier version let in Vagrant's alone.
    key = Path(keypair.FILE) if site.ssh_key else WELL_KNOWN_KEY
    return LxcProvider(site.identity, network, addresses, key)
