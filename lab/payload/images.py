"""The images that kubeadm asks for (`kubeadm config images list`), of our programs and Debian's packages."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from lab.cache import remove
from lab.command import LineSink, run
from lab.debian.rootfs import mmdebstrap
from lab.errors import LabError
from lab.kubernetes.release import Release
from lab.payload import archive, programs
from lab.payload.archive import Image, Link

#: Debian's packages whose files go into images (their dependencies come with them, nothing of it is installed).
PACKAGES = ("iptables", "conntrack", "ipset", "iproute2", "kmod", "etcd-server", "etcd-client", "busybox-static")

#: The workload of tests and exercises.
WORKLOAD = "lab.local/busybox:1"

#: Every image needs a user database and a way to resolve names.
BASE: Mapping[str, str] = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "/etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "/etc/nsswitch.conf": "hosts: files dns\n",
    "/tmp/.keep": "",
}

#: Names under which one program of iptables (the nf_tables variant) is called by kube-proxy.
IPTABLES = tuple(f"{family}{verb}" for family in ("iptables", "ip6tables") for verb in ("", "-save", "-restore"))


#: Links that are followed to one file before they count as a circle (path_resolution(7)).
LINKS = 40


class Packages:
    """Debian packages unpacked below ``root``, from which programs are taken with the libraries they need."""

    def __init__(self, root: Path) -> None:
        self.root = root
        loaders = sorted((root / "usr").glob("lib*/ld-linux*.so.*")) + sorted(root.glob("lib*/ld-linux*.so.*"))
        if not loaders:
            raise LabError(f"no dynamic loader below {root}: Debian's libc6 is missing")
        self.loader = self.real(loaders[0])

    def real(self, path: Path) -> Path:
        """Where a path below the root leads. A link such as /lib64/ld-linux.so.2 means the packages' own file, and not
        this host's, which may be of another release."""
        found, ahead, links = self.root, list(path.relative_to(self.root).parts), 0
        while ahead:
            step = found / ahead.pop(0)
            if not step.is_symlink():
                found = step
                continue
            links += 1
            if links > LINKS:
                raise LabError(f"{path} is a circle of links")
            target = Path(os.path.normpath(Path("/", found.relative_to(self.root), step.readlink())))
            found, ahead = self.root, [*target.parts[1:], *ahead]
        return found

    def find(self, name: str) -> Path:
        """The program of that name."""
        for folder in ("usr/sbin", "usr/bin", "sbin", "bin"):
            if (program := self.real(self.root / folder / name)).exists():
                return program
        raise LabError(f"the Debian packages {', '.join(PACKAGES)} hold no program {name}")

    def programs(self, names: Iterable[str], folder: str) -> dict[str, Path]:
        """An image's tree with these programs in ``folder`` and all libraries that they load."""
        tree: dict[str, Path] = {}
        for name in names:
            program = self.find(name)
            tree[f"{folder}/{name}"] = program
            tree |= self.libraries(program)
        return tree

    def libraries(self, program: Path) -> dict[str, Path]:
        """The libraries of one program and the loader, at the paths at which the loader looks.

        It is run in the root's folder: it parts paths at colons and semicolons, and its listing cannot be read where
        they hold spaces.
        """
        folders = [self._inside(path) for name in ("usr/lib", "lib") for path in (self.root / name).glob("*-linux-gnu")]
        argv = [self._inside(self.loader), "--inhibit-cache", "--library-path", ":".join(folders), "--list"]
        result = run([*argv, self._inside(program)], cwd=self.root, label=f"ld.so --list {program.name}")
        if not result.ok:
            return {}  # a static program has none
        found = library_paths(result.stdout)
        missing = [name for name, path in found.items() if path is None]
        if missing:
            raise LabError(f"{program.name} needs {', '.join(missing)}, which its Debian package did not bring")
        tree = {f"/{path}": self.real(self.root / path) for path in found.values() if path is not None}
        tree[_interpreter(program)] = self.loader
        return tree

    def _inside(self, path: Path) -> str:
        """A path of the tree as it is seen from the tree's own folder."""
        return f"./{path.relative_to(self.root)}"


def library_paths(listing: str) -> dict[str, Path | None]:
    """The loader's --list output: library name to its path, None where it found none."""
    found: dict[str, Path | None] = {}
    for line in listing.splitlines():
        if match := re.match(r"^\s*(\S+) => (?:(\S+) \(0x|not found)", line):
            found[match[1]] = Path(match[2]) if match[2] else None
    return found


def _interpreter(program: Path) -> str:
    """The loader's path as it is written in the program (ELF's PT_INTERP: a path that ends with a zero byte)."""
    with program.open("rb") as file:
        match = re.search(rb"(/lib[a-z0-9]*/ld-linux[^\0]*)\0", file.read(4096))
    if match is None:
        raise LabError(f"{program} names no dynamic loader")
    return match[1].decode()


def kubernetes_images(release: Release, binaries: Path, packages: Packages) -> list[Image]:
    """All images of the payload, for the programs in ``binaries``."""
    images = [
        Image(release.image(name), {**BASE, f"/usr/local/bin/{name}": binaries / name})
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    ]
    images.append(Image(release.image("kube-proxy"), proxy_tree(binaries, packages)))
    etcd = packages.programs(("etcd", "etcdctl"), "/usr/local/bin")
    images.append(Image(release.image("etcd"), {**BASE, **etcd}))
    images.append(Image(release.image("pause"), {"/pause": binaries / programs.PAUSE.stem}, entrypoint=("/pause",)))
    images.append(Image(WORKLOAD, busybox_tree(packages.find("busybox")), command=("sh",)))
    return images


def proxy_tree(binaries: Path, packages: Packages) -> dict[str, Path | str | Link]:
    """kube-proxy with the tools that it runs: iptables (nf_tables) and its modules, conntrack, ipset, ip, modprobe."""
    tree: dict[str, Path | str | Link] = {**BASE, "/usr/local/bin/kube-proxy": binaries / "kube-proxy"}
    tree |= packages.programs(("xtables-nft-multi", "conntrack", "ipset", "ip", "kmod"), "/usr/sbin")
    tree |= {f"/usr/sbin/{name}": Link("xtables-nft-multi") for name in IPTABLES}
    tree |= {"/usr/sbin/modprobe": Link("kmod"), "/bin/sh": Link("busybox"), "/bin/busybox": packages.find("busybox")}
    modules = sorted(packages.root.glob("usr/lib/*-linux-gnu/xtables/*.so"))
    if not modules:
        raise LabError("Debian's iptables brought no xtables modules")
    for module in modules:
        tree[f"/{module.relative_to(packages.root)}"] = packages.real(module)
    return tree


def busybox_tree(busybox: Path) -> dict[str, Path | str | Link]:
    """A small system of busybox alone (static)."""
    applets = run([str(busybox), "--list"]).check().stdout.split()
    tree: dict[str, Path | str | Link] = {**BASE, "/bin/busybox": busybox}
    return tree | {f"/bin/{name}": Link("busybox") for name in applets if name != "busybox"}


def build(release: Release, folder: Path, binaries: Path, sink: LineSink) -> dict[str, str]:
    """Write the archive of every image into ``folder``; returns the versions of the Debian packages inside."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".images-") as temporary:
        work = Path(temporary)
        sink("Debian packages for the images")
        hook = work / "hook"
        hook.write_text(versions_script(work / "versions"))
        hook.chmod(0o755)
        mmdebstrap(work / "packages", PACKAGES, sink, variant="extract", script=hook)
        packages = Packages(work / "packages")
        machine = os.uname().machine
        for image in kubernetes_images(release, binaries, packages):
            sink(f"image {image.name}")
            archive.write(image, folder, machine)
        versions = offered((work / "versions").read_text())
        remove(work / "packages")
        (work / "packages").mkdir()  # the temporary folder's own removal cannot force what packages made unwritable
    return versions


def versions_script(output: Path) -> str:
    """A hook that writes what apt says of the packages: unpacked only, they are not in dpkg's records."""
    show = f"apt-cache show --no-all-versions {' '.join(PACKAGES)}"
    return f'#!/bin/sh\nset -eu\nAPT_CONFIG="$MMDEBSTRAP_APT_CONFIG" {show} > {shlex.quote(str(output))}\n'


def offered(text: str) -> dict[str, str]:
    """Package name to version out of ``apt-cache show``."""
    stanzas = [dict(re.findall(r"^(Package|Version): (.*)$", block, re.MULTILINE)) for block in text.split("\n\n")]
    return {stanza["Package"]: stanza["Version"] for stanza in stanzas if "Package" in stanza}
