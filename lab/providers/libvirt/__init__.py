"""Virtual machines through libvirt: one noun a module, ``provider`` puts them together."""

from __future__ import annotations

from lab.providers.libvirt.provider import BoxImage, LibvirtProvider

__all__ = ["BoxImage", "LibvirtProvider"]
