"""The groups of packages that a call of inv needs beside Python: the lists host/GROUP.packages and .programs. Pure."""

from __future__ import annotations

from lab.definition import Definition
from lab.definition.provider import possible
from lab.stage import Stage

#: What the project's own tests need: they make labs of every kind, and judge with real tools.
TESTING = ("common", "lxc", "libvirt", "build", "build-libvirt", "test")


def making(definition: Definition, wanted: str, stage: Stage, *, kvm: bool) -> tuple[str, ...]:
    """What it takes to make a lab, with each provider that it can end with (see ``possible``)."""
    providers = possible(wanted, definition, kvm=kvm)
    if providers == ("libvirt",) and definition.machine.box.name and not stage.has_kubernetes:
        return ("common", "libvirt")  # a public box, and nothing to put into it: nothing is built
    return ("common", "build", *(group for provider in providers for group in _of(provider)))


def _of(provider: str) -> tuple[str, ...]:
    return ("libvirt", "build-libvirt") if provider == "libvirt" else (provider,)
