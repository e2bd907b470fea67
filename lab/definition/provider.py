"""Which providers a definition leaves open. Pure."""

from __future__ import annotations

from lab.definition.models import Definition


def for_virtual_machines(definition: Definition) -> tuple[str, ...]:
    """What a definition sets that means nothing for containers: FIELD VALUE each."""
    settings = (
        ("libvirt.uri", definition.libvirt.uri, ""),
        ("libvirt.driver", definition.libvirt.driver, "auto"),
        ("machine.box.name", definition.machine.box.name, ""),
    )
    return tuple(f"{field} {value}" for field, value, default in settings if value != default)


def possible(wanted: str, definition: Definition, *, kvm: bool) -> tuple[str, ...]:
    """The providers that a lab can end with. ``wanted`` is auto, libvirt or lxc; ``kvm``: it may work on this host."""
    if wanted != "auto":
        return (wanted,)
    if for_virtual_machines(definition):
        return ("libvirt",)
    return ("lxc", "libvirt") if kvm else ("lxc",)
