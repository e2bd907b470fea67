"""The box of virtual machines: a bootable disk image, and a Vagrant box of a few kilobytes that stands for it.

vagrant-libvirt wants the image in the hypervisor's storage pool and would copy it twice on the way there; the provider
puts it there itself (a link where it can), and the box only tells Vagrant its name, version and size.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.box.components import all_packages, components, inputs
from lab.box.customize import customize_script
from lab.box.disk import Disk, compress, write_raw
from lab.cache import GIB, Cache, Entry
from lab.command import LineSink, run
from lab.contained import contained
from lab.debian.rootfs import installed, mmdebstrap
from lab.errors import LabError
from lab.host import archives

HERE = Path(__file__).parent

SCRIPT = HERE / "virtual.sh"

#: Everything whose change makes another box.
BUILDER = tuple(
    HERE / name
    for name in (
        "libvirt.py", "disk.py", "components.py", "customize.py", "virtual.sh", "vagrant-user.sh",
        "../debian/rootfs.py",
    )
)  # fmt: skip

#: What a machine with a kernel of its own needs besides the components' packages.
PACKAGES = ("linux-image-cloud-amd64", "udev", "cpio", "busybox-static")

#: The disk's size in GiB as the machine sees it. The image holds only what is written.
DISK_GIB = 20

#: Disk in bytes while the box is built: root file system, raw image (sparse) and compressed image; without the payload.
SPACE = 3 * GIB

#: The same for the payload inside: once in the root file system, once in each image (measured: 0.7 GiB each).
PAYLOAD_SPACE = 2 * GIB

#: The kernel's command line. Network cards keep the names eth0, eth1; the processor's flaws do not matter in a lab.
KERNEL = (
    "root=/dev/vda2 rw net.ifnames=0 biosdevname=0 console=ttyS0 quiet mitigations=off nowatchdog selinux=0 apparmor=0"
)

#: Control groups v1, for the releases of Kubernetes that are proven on nothing else.
CGROUP_V1 = "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1"


@dataclass(frozen=True)
class Box:
    """A built box. ``url`` is what Vagrant is told (a catalogue that gives the box a version), ``image`` the disk."""

    name: str
    version: str
    url: str
    image: Path


def command_line(cgroups: str) -> str:
    """The kernel's command line for machines with this version of control groups, v1 or v2."""
    return KERNEL if cgroups == "v2" else f"{KERNEL} {CGROUP_V1}"


def entry(cache: Cache, provision: Path, cgroups: str, payload: Path | None) -> Entry:
    """Where the box for these scripts, control groups and this payload (its folder in the cache) lies."""
    wanted = dict(inputs(provision, BUILDER))
    wanted["kernel"] = command_line(cgroups)
    wanted["payload"] = payload.name if payload is not None else ""
    return cache.entry("box", "libvirt", wanted)


def build(
    cache: Cache,
    provision: Path,
    sink: LineSink,
    *,
    cgroups: str,
    payload: Path | None = None,
    refresh: bool = False,
) -> Box:
    """The box, built when it is not in the cache. Needs root (the owners of its files).

    ``cgroups`` is the version of control groups that its kernel boots with, v1 or v2; ``payload`` is the cache's entry
    of Kubernetes' programs and images, which the machines find in /opt/payload; None for machines that never go beyond
    the load balancer.
    """
    wanted = entry(cache, provision, cgroups, payload)
    if os.geteuid() != 0 and not wanted.ready:
        raise LabError("building the box needs root", "run the command as root, or name a public box in machine.box")
    space = SPACE + (PAYLOAD_SPACE if payload is not None else 0)
    path = wanted.build(
        lambda folder: _make(folder, wanted, provision, sink, command_line(cgroups), payload), refresh, space, sink
    )
    return Box(
        name=box_name(wanted),
        version=BOX_VERSION,
        url=(path / "catalogue.json").as_uri(),
        image=path / "box.img",
    )


#: The name carries the key of the contents; Vagrant wants some version, or it uploads the image again and again.
BOX_VERSION = "1.0.0"


def box_name(wanted: Entry) -> str:
    """The box's name: unique to its contents, so that no hypervisor ever holds another image under it."""
    return f"halab-libvirt-{wanted.key}"


def _make(
    folder: Path, wanted: Entry, provision: Path, sink: LineSink, line: str, payload: Path | None
) -> Mapping[str, object]:
    """Build everything in ``folder``, which will be moved to the entry's path."""
    found = components(provision)
    script = folder / "customize"
    installs = {part.name: part.install for part in found if part.install}
    script.write_text(customize_script(installs, SCRIPT))
    script.chmod(0o755)
    rootfs = folder / "rootfs"
    sink("Debian packages of the machines")
    mmdebstrap(rootfs, sorted({*all_packages(found), *PACKAGES}), sink, script=script)
    script.unlink()
    versions = installed(rootfs)
    if payload is not None:
        sink("Kubernetes' programs and images")
        _copy(payload, rootfs / "opt" / "payload")
    sink("disk image")
    raw = folder / "box.raw"
    boot = rootfs / "boot"
    write_raw(Disk(rootfs, boot / "lab-vmlinuz", boot / "lab-initrd.img", line, DISK_GIB * GIB), raw)
    compress(raw, folder / "box.img")
    raw.unlink()
    run(contained(["rm", "-rf", "--one-file-system", str(rootfs)])).check()
    write_box(folder / "thin.box", DISK_GIB)
    box = wanted.path / "thin.box"
    (folder / "catalogue.json").write_text(catalogue(box_name(wanted), BOX_VERSION, box))
    return {"packages": versions, "kernel command line": line, "payload": payload.name if payload is not None else ""}


def write_box(file: Path, gib: int) -> None:
    """Write the box file: its description only (vagrant-libvirt's format 1; the image is in the pool already)."""
    content = json.dumps({"provider": "libvirt", "format": "qcow2", "virtual_size": gib}).encode()
    with tarfile.open(file, "w") as box:
        archives.add(box, "metadata.json", content)


def catalogue(name: str, version: str, box: Path) -> str:
    """What gives a box a version (developer.hashicorp.com/vagrant/docs/boxes/format, "box metadata")."""
    provider = {"name": "libvirt", "url": box.as_uri()}
    return json.dumps({"name": name, "versions": [{"version": version, "providers": [provider]}]}, indent=1) + "\n"


def _copy(source: Path, target: Path) -> None:
    """Copy a tree, as links where it lies on the same disk."""
    target.mkdir(parents=True, exist_ok=True)
    argv = ["cp", "--archive", "--link", f"{source}/.", str(target)]
    if not run(contained(argv)).ok:
        argv.remove("--link")
        run(contained(argv)).check()
