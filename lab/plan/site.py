"""Where and on what a lab is made, as far as this host decides it: containers, or virtual machines on a libvirt."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

from lab import quoting
from lab.identity import Identity

#: Whose libvirt has the machines: the host's, one of the lab's own, or another host's.
Daemon: TypeAlias = Literal["system", "private", "remote"]


@dataclass(frozen=True)
class Box:
    """A box as Vagrant knows it; of one in its catalogue ``url`` is "", and ``version`` may be: the newest."""

    name: str
    version: str = ""
    url: str = ""


@dataclass(frozen=True)
class Seed:
    """What gives a new container its images: the program ``hook``, which takes them from the folder ``images``."""

    hook: Path
    images: Path

    @property
    def command(self) -> str:
        """The hook as LXC calls it."""
        return quoting.shell([str(self.hook), str(self.images)])


@dataclass(frozen=True)
class ContainerSite:
    """A lab of system containers.

    Box, ``rootfs`` (the box, unpacked), ``payload`` (Kubernetes' programs and images) and ``seed`` are None until an
    ``up`` has built them. ``ssh_key`` is the public half of the lab's own key (None: the machines take Vagrant's, as
    those of an earlier version). ``cgroups`` is the version of control groups that the machines see, v1 or v2;
    ``patience`` how many times longer than on an ordinary host things may take.
    """

    provider: ClassVar[str] = "lxc"
    #: The machines' interface in the lab's network.
    interface: ClassVar[str] = "eth0"
    #: Nothing drives the machines but this host's kernel, which they share.
    driver: ClassVar[str] = ""
    shares_kernel: ClassVar[bool] = True

    identity: Identity
    box: Box | None = None
    rootfs: Path | None = None
    payload: Path | None = None
    seed: Seed | None = None
    ssh_key: str | None = None
    cgroups: str = "v1"
    patience: float = 1.0

    def stands_on(self, *, new: bool) -> list[Path]:
        """The parts of the cache that machines need as long as they live, with ``new`` those that new ones need too."""
        made_of = [self.rootfs, self.payload]
        if new:
            made_of += [self.seed.images if self.seed else None]
        return [path for path in made_of if path is not None]


@dataclass(frozen=True)
class VirtualSite:
    """A lab of virtual machines.

    ``uri`` is what Vagrant is told; ``driver`` is kvm or qemu, "" where this host could make no machine and the
    definition leaves it open. ``emulator`` is a program in QEMU's place. ``image`` is the disk of a box that was built
    here, ``payload`` Kubernetes' programs and images; a public box has no image, a lab that ends before Kubernetes no
    payload. ``ssh_key``, ``cgroups`` and ``patience`` are as for containers.
    """

    provider: ClassVar[str] = "libvirt"
    interface: ClassVar[str] = "eth1"
    shares_kernel: ClassVar[bool] = False

    identity: Identity
    driver: str = ""
    daemon: Daemon = "system"
    uri: str = "qemu:///system"
    emulator: Path | None = None
    box: Box | None = None
    image: Path | None = None
    payload: Path | None = None
    ssh_key: str | None = None
    cgroups: str = "v1"
    patience: float = 1.0

    def stands_on(self, *, new: bool) -> list[Path]:
        """The same: a machine has a disk of its own, made from the image, which has the payload inside."""
        made_from = self.image or self.payload
        return [made_from] if new and made_from is not None else []


Site: TypeAlias = ContainerSite | VirtualSite


def undecided(identity: Identity, provider: str, driver: str = "") -> Site:
    """The site of a lab of which no more is known than its provider."""
    return VirtualSite(identity, driver) if provider == VirtualSite.provider else ContainerSite(identity)


#: What a site's record holds, all of it text but the last: the form is that of the first version, which had one type
#: for both providers, "" for what is not there, and called the box's fields and libvirt's address like this.
RECORDED = (
    *("provider", "driver", "interface", "box_name", "box_version", "box_url", "rootfs", "payload", "seed_hook"),
    *("seed", "libvirt_uri", "daemon", "emulator", "image", "ssh_key", "cgroups", "patience"),
)


def record(site: Site) -> dict[str, Any]:
    """A site without its identity, as JSON can hold it: ``RECORDED`` in this order."""
    told: dict[str, Any] = {field.name: getattr(site, field.name) for field in fields(site)}
    box: Box = site.box or Box("")
    told |= {"provider": site.provider, "driver": site.driver, "interface": site.interface}
    told |= {"box_name": box.name, "box_version": box.version, "box_url": box.url}
    if isinstance(site, VirtualSite):
        told["libvirt_uri"] = site.uri
    elif site.seed is not None:
        told |= {"seed_hook": site.seed.command, "seed": site.seed.images}
    return {
        name: value if isinstance(value := told.get(name), float) else "" if value is None else str(value)
        for name in RECORDED
    }


def site_of(identity: Identity, data: Mapping[str, Any]) -> Site:
    """The site that was recorded. Raises ValueError for what is none."""
    if unknown := sorted(set(data) - set(RECORDED)):
        raise ValueError(f"unknown: {', '.join(unknown)}")
    told = {name: _text(data, name) for name in RECORDED[:-1]}
    path = {
        name: Path(told[name]) if told[name] else None for name in ("rootfs", "payload", "seed", "emulator", "image")
    }
    patience = float(data.get("patience", 1.0))
    cgroups, name, ssh_key = told["cgroups"] or "v1", told["box_name"], told["ssh_key"] or None
    box = Box(name, told["box_version"], told["box_url"]) if name else None
    if told["provider"] == ContainerSite.provider:
        hook, images = told["seed_hook"], path["seed"]
        seed = Seed(Path(shlex.split(hook)[0]), images) if hook and images else None
        return ContainerSite(identity, box, path["rootfs"], path["payload"], seed, ssh_key, cgroups, patience)
    if told["provider"] != VirtualSite.provider:
        raise ValueError(f"provider {told['provider']!r}")
    return VirtualSite(
        identity,
        driver=told["driver"],
        daemon=_daemon(told["daemon"]),
        uri=told["libvirt_uri"] or "qemu:///system",
        emulator=path["emulator"],
        box=box,
        image=path["image"],
        payload=path["payload"],
        ssh_key=ssh_key,
        cgroups=cgroups,
        patience=patience,
    )


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name, "")
    if not isinstance(value, str):
        raise ValueError(f"{name}: {value!r}")
    return value


def _daemon(word: str) -> Daemon:
    for known in ("system", "private", "remote"):
        if word == known or (not word and known == "system"):
            return known
    raise ValueError(f"daemon {word!r}")
