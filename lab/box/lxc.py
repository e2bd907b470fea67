"""The box of system containers: one shared root file system, and a Vagrant box of a few kilobytes that points to it.

Vagrant would unpack a box's root file system once a machine; here a machine's root is an overlay over the shared one,
so importing takes no time, and the cache is checked where it lies.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.box.components import all_packages, components, inputs
from lab.box.customize import customize_script
from lab.cache import GIB, Cache, Entry
from lab.command import LineSink
from lab.debian.rootfs import installed, mmdebstrap
from lab.errors import LabError
from lab.host import archives
from lab.quoting import fstab

HERE = Path(__file__).parent

#: Everything whose change makes another box.
BUILDER = tuple(
    HERE / name
    for name in (
        "lxc.py", "components.py", "customize.py", "container.sh", "vagrant-user.sh", "lxc-config",
        "lxc-template", "lxc-seed", "../debian/rootfs.py",
    )
)  # fmt: skip

#: Disk in bytes while the box is built (root file system 0.5 GiB and the packages it is made of; measured).
SPACE = 2 * GIB

#: What a kubelet (1.20 and later, cm.setupKernelTunables) writes into the kernel's settings when it finds something
#: else. The machine shows it these values, so that it writes nothing: they belong to the host.
SHIELDS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}

#: Where LXC and the lab's steps mount things.
MOUNT_POINTS = ("opt/payload", "var/lib/containerd", "var/lib/etcd", "var/lib/kubelet")


@dataclass(frozen=True)
class Box:
    """A built box. ``file`` is what Vagrant adds as ``name``; ``seed_hook`` is LXC's pre-start hook (takes a seed)."""

    name: str
    version: str
    file: Path
    rootfs: Path
    seed_hook: Path


def entry(cache: Cache, provision: Path) -> Entry:
    """Where the box for these provisioning scripts lies."""
    return cache.entry("box", "lxc", inputs(provision, BUILDER))


def build(cache: Cache, provision: Path, sink: LineSink, refresh: bool = False) -> Box:
    """The box for these provisioning scripts, built when the cache has it not. Needs root (the owners of its files)."""
    wanted = entry(cache, provision)
    if os.geteuid() != 0 and not wanted.ready:
        raise LabError("building the container box needs root", "run the command as root; see ./inv doctor")
    path = wanted.build(lambda folder: _make(folder, wanted.path, provision, sink), refresh, SPACE, sink)
    return Box(
        name=f"halab-lxc-{wanted.key[:8]}",
        version=wanted.key,
        file=path / "lab.box",
        rootfs=path / "rootfs",
        seed_hook=path / "lxc-seed",
    )


def _make(folder: Path, final: Path, provision: Path, sink: LineSink) -> Mapping[str, object]:
    """Build everything in ``folder``, which will be moved to ``final``."""
    found = components(provision)
    script = folder / "customize"
    installs = {part.name: part.install for part in found if part.install}
    script.write_text(customize_script(installs, HERE / "container.sh"))
    script.chmod(0o755)
    rootfs = folder / "rootfs"
    sink("Debian packages of the machines")
    mmdebstrap(rootfs, all_packages(found), sink, script=script)
    script.unlink()
    for point in MOUNT_POINTS:
        (rootfs / point).mkdir(parents=True, exist_ok=True)
    for name, value in SHIELDS.items():
        shield = folder / "shields" / name
        shield.parent.mkdir(parents=True, exist_ok=True)
        shield.write_text(value + "\n")
    hook = folder / "lxc-seed"
    hook.write_bytes((HERE / "lxc-seed").read_bytes())
    hook.chmod(0o755)
    config = (HERE / "lxc-config").read_text() + shield_entries(final / "shields")
    write_box(folder / "lab.box", config, (HERE / "lxc-template").read_text(), final / "rootfs")
    return {"packages": installed(rootfs)}


def shield_entries(folder: Path) -> str:
    """LXC's lines that lay the files of ``folder`` over the kernel's settings of the same names."""
    lines = ["# What the kubelet would change for the whole host is shown to it as changed already."]
    lines += [f"lxc.mount.entry = {fstab(str(folder / name))} proc/sys/{name} none bind,ro 0 0" for name in SHIELDS]
    return "\n".join(lines) + "\n"


def write_box(file: Path, config: str, template: str, lower: Path) -> None:
    """Write the Vagrant box (vagrant-lxc's format 1.0.0). ``template`` is run for each machine with ``--lower``."""
    metadata = {"provider": "lxc", "version": "1.0.0", "template-opts": {"--lower": str(lower)}}
    empty = io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w:gz"):
        pass  # vagrant-lxc insists on the file; our template does not open it
    members = {
        "metadata.json": (json.dumps(metadata).encode(), 0o644),
        "lxc-config": (config.encode(), 0o644),
        "lxc-template": (template.encode(), 0o755),
        "rootfs.tar.gz": (empty.getvalue(), 0o644),
    }
    with tarfile.open(file, "w") as box:
        for name, (content, mode) in members.items():
            archives.add(box, name, content, mode)
