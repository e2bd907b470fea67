"""Images: the same contents give the same bytes, and what is in them is what was asked for."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import needs
import pytest

from lab.errors import LabError
from lab.kubernetes.release import V1_20_2
from lab.payload import archive, images
from lab.payload.archive import Image, Link
from lab.payload.images import Packages, library_paths, offered, proxy_tree, versions_script


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o700)
    return path


def read(path: Path) -> tuple[dict[str, object], dict[str, object], dict[str, tarfile.TarInfo]]:
    """Manifest, configuration and layer of an archive, checked against each other."""
    with tarfile.open(path) as outer:
        members = {member.name: outer.extractfile(member) for member in outer.getmembers()}
        contents = {name: file.read() for name, file in members.items() if file is not None}
    (manifest,) = json.loads(contents["manifest.json"])
    assert manifest["Config"] == hashlib.sha256(contents[manifest["Config"]]).hexdigest() + ".json"
    config = json.loads(contents[manifest["Config"]])
    (layer,) = manifest["Layers"]
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(contents[layer]).hexdigest()]
    unpacked = path.with_suffix(".layer")
    unpacked.write_bytes(contents[layer])
    with tarfile.open(unpacked) as inner:
        return manifest, config, {member.name: member for member in inner.getmembers()}


def test_an_archive_says_its_name_and_what_runs(tmp_path: Path, program: Path) -> None:
    image = Image(
        "lab.test/a/tool:v1", {"/usr/bin/tool": program, "/bin/sh": Link("tool")}, entrypoint=("/usr/bin/tool",)
    )
    path = archive.write(image, tmp_path, "x86_64")
    manifest, config, layer = read(path)
    assert path.name == "tool-v1.tar"
    assert manifest["RepoTags"] == ["lab.test/a/tool:v1"]
    assert config["config"]["Entrypoint"] == ["/usr/bin/tool"]  # type: ignore[index]
    assert "Cmd" not in config["config"]  # type: ignore[operator]
    assert (config["architecture"], config["os"]) == ("amd64", "linux")
    assert sorted(layer) == ["bin", "bin/sh", "usr", "usr/bin", "usr/bin/tool"]
    assert layer["usr/bin/tool"].mode == 0o755
    assert layer["bin/sh"].linkname == "tool"
    assert {(member.uid, member.gid, member.mtime) for member in layer.values()} == {(0, 0, 0)}
    assert list(tmp_path.glob(".*")) == [], "no temporary file stays"


def test_parents_come_before_their_children(tmp_path: Path, program: Path) -> None:
    image = Image("x:1", {"/b/c/d": program, "/a": "text", "/tmp/.keep": ""})
    _manifest, _config, layer = read(archive.write(image, tmp_path, "x86_64"))
    assert list(layer) == ["a", "b", "b/c", "b/c/d", "tmp", "tmp/.keep"]
    assert layer["tmp"].mode == 0o1777


def test_dates_and_order_do_not_matter(tmp_path: Path, program: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    one = archive.write(Image("x:1", {"/a": program, "/b": "b"}), first, "x86_64").read_bytes()
    os.utime(program, (1, 1))
    two = archive.write(Image("x:1", {"/b": "b", "/a": program}), second, "x86_64").read_bytes()
    assert one == two


def test_other_contents_are_other_bytes(tmp_path: Path) -> None:
    written = {archive.write(Image("x:1", {"/a": text}), tmp_path, "x86_64").read_bytes() for text in ("a", "b")}
    assert len(written) == 2


LISTING = """\
\tlinux-vdso.so.1 (0x00007ffd)
\tlibmnl.so.0 => /r/usr/lib/x86_64-linux-gnu/libmnl.so.0 (0x00007f)
\tlibgone.so.1 => not found
\tlibc.so.6 => /r/lib/x86_64-linux-gnu/libc.so.6 (0x00007f)
\t/lib64/ld-linux-x86-64.so.2 => /r/lib64/ld-linux-x86-64.so.2 (0x00007f)
"""


def test_the_loaders_listing_is_read() -> None:
    assert library_paths(LISTING) == {
        "libmnl.so.0": Path("/r/usr/lib/x86_64-linux-gnu/libmnl.so.0"),
        "libgone.so.1": None,
        "libc.so.6": Path("/r/lib/x86_64-linux-gnu/libc.so.6"),
        "/lib64/ld-linux-x86-64.so.2": Path("/r/lib64/ld-linux-x86-64.so.2"),
    }


def test_versions_come_from_what_apt_says() -> None:
    text = "Package: iptables\nSource: x\nVersion: 1.8.9-2\nDescription: y\n\nPackage: kmod\nVersion: 30\n\n"
    assert offered(text) == {"iptables": "1.8.9-2", "kmod": "30"}


def test_the_hook_for_versions_quotes_its_path(tmp_path: Path) -> None:
    script = versions_script(tmp_path / "a b" / "versions")
    assert f"'{tmp_path}/a b/versions'" in script
    assert script.startswith("#!/bin/sh\n")


@needs.apt
def test_the_libraries_are_found_in_a_cache_with_any_name(tmp_path: Path) -> None:
    """The loader parts a list of folders at semicolons too, and its listing at spaces."""
    (tmp_path / "mein ;Läb $x").symlink_to("/")
    found = Packages(tmp_path / "mein ;Läb $x").programs(("tar",), "/bin")
    assert {path: file.resolve() for path, file in found.items()} == Packages(Path("/")).programs(("tar",), "/bin")
    assert any("libc.so.6" in path for path in found)


@needs.root
@needs.apt
def test_a_program_runs_with_nothing_but_the_libraries_found_for_it(tmp_path: Path) -> None:
    found = Packages(Path("/")).programs(("tar",), "/bin")
    assert any("libc.so.6" in path for path in found)
    root = tmp_path / "root"
    for path, source in found.items():
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    result = subprocess.run(["chroot", str(root), "/bin/tar", "--version"], capture_output=True, text=True)
    assert "GNU tar" in result.stdout, result.stderr


def test_a_program_that_no_package_brought_is_named(tmp_path: Path) -> None:
    (tmp_path / "usr/lib64").mkdir(parents=True)
    (tmp_path / "usr/lib64/ld-linux-x86-64.so.2").touch()
    with pytest.raises(LabError, match="no program conntrack"):
        Packages(tmp_path).find("conntrack")


class TestLinks:
    """The packages' links are about their own file system, never about the host's."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        root = tmp_path / "root"
        for name in ("lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "bin/ip", "usr/lib/x86_64-linux-gnu/lib.so.1.2"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        for name, target in {
            "lib64/ld-linux-x86-64.so.2": "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
            "sbin/ip": "/bin/ip",
            "usr/sbin/tar": "/bin/tar",  # the host has one, these packages have none
            "usr/lib/x86_64-linux-gnu/lib.so.1": "lib.so.1.2",
            "usr/lib/x86_64-linux-gnu/above.so": "../../../../../../bin/ip",
            "etc/a": "/etc/b",
            "etc/b": "a",
        }.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).symlink_to(target)
        return root

    def test_the_loader_is_theirs(self, root: Path) -> None:
        assert Packages(root).loader == root / "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"

    def test_a_program_is_theirs(self, root: Path) -> None:
        assert Packages(root).find("ip") == root / "bin/ip"

    def test_the_hosts_program_does_not_stand_in_for_one_that_is_missing(self, root: Path) -> None:
        with pytest.raises(LabError, match="no program tar"):
            Packages(root).find("tar")

    @pytest.mark.parametrize(("name", "target"), [("lib.so.1", "lib.so.1.2"), ("above.so", "../../../bin/ip")])
    def test_a_relative_link_does_not_lead_out(self, name: str, target: str, root: Path) -> None:
        libraries = root / "usr/lib/x86_64-linux-gnu"
        assert Packages(root).real(libraries / name) == (libraries / target).resolve()

    def test_a_circle_is_refused(self, root: Path) -> None:
        with pytest.raises(LabError, match="circle"):
            Packages(root).real(root / "etc/a")


def test_packages_without_a_libc_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="libc6 is missing"):
        Packages(tmp_path)


class NoLibraries(Packages):
    """Unpacked packages whose programs are all static."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def libraries(self, program: Path) -> dict[str, Path]:
        return {}


def unpacked(root: Path) -> NoLibraries:
    for name in ("xtables-nft-multi", "conntrack", "ipset", "ip", "kmod", "busybox", "etcd", "etcdctl"):
        path = root / "usr/sbin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\necho sh\necho ls\necho busybox\n")
        path.chmod(0o755)
    modules = root / "usr/lib/x86_64-linux-gnu/xtables"
    modules.mkdir(parents=True)
    (modules / "libxt_comment.so").touch()
    return NoLibraries(root)


def test_kube_proxy_finds_every_tool_that_it_calls(tmp_path: Path) -> None:
    tree = proxy_tree(tmp_path, unpacked(tmp_path))
    for name in ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"):
        assert tree[f"/usr/sbin/{name}"] == Link("xtables-nft-multi")
    assert {"/usr/sbin/conntrack", "/usr/sbin/ipset", "/usr/sbin/xtables-nft-multi", "/bin/sh"} <= tree.keys()
    assert "/usr/lib/x86_64-linux-gnu/xtables/libxt_comment.so" in tree


def test_kube_proxy_without_xtables_modules_is_refused(tmp_path: Path) -> None:
    packages = unpacked(tmp_path)
    (tmp_path / "usr/lib/x86_64-linux-gnu/xtables/libxt_comment.so").unlink()
    with pytest.raises(LabError, match="xtables modules"):
        proxy_tree(tmp_path, packages)


def test_the_images_are_those_that_kubeadm_asks_for(tmp_path: Path) -> None:
    """The list is that of `kubeadm config images list --kubernetes-version v1.20.2`, without CoreDNS."""
    built = images.kubernetes_images(V1_20_2, tmp_path, unpacked(tmp_path))
    assert {image.name for image in built} == {
        "k8s.gcr.io/kube-apiserver:v1.20.2",
        "k8s.gcr.io/kube-controller-manager:v1.20.2",
        "k8s.gcr.io/kube-scheduler:v1.20.2",
        "k8s.gcr.io/kube-proxy:v1.20.2",
        "k8s.gcr.io/pause:3.2",
        "k8s.gcr.io/etcd:3.4.13-0",
        images.WORKLOAD,
    }
    assert {image.name for image in built} == {*V1_20_2.images, images.WORKLOAD}
    assert len({image.file_name for image in built}) == len(built)


def test_the_workload_has_busyboxs_applets_as_links(tmp_path: Path) -> None:
    busybox = unpacked(tmp_path).find("busybox")
    tree = images.busybox_tree(busybox)
    assert tree["/bin/busybox"] == busybox
    assert tree["/bin/ls"] == tree["/bin/sh"] == Link("busybox")
