"""The box: decided by our own inputs, thin, and shielding the host."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import tarfile
from pathlib import Path

import needs
import pytest

from lab.box import lxc
from lab.box.components import Component, all_packages, components, inputs, package_names
from lab.box.customize import customize_script
from lab.cache import Cache
from lab.debian.rootfs import installed
from lab.errors import LabError

HERE = Path(lxc.__file__).parent
PROVISION = HERE.parents[1] / "provision"


@pytest.fixture
def provision(tmp_path: Path) -> Path:
    folder = tmp_path / "provision"
    for name, packages in {"haproxy": "haproxy # why\n\n", "node": "# all\nsudo\ncurl\n", "common": None}.items():
        (folder / name).mkdir(parents=True)
        if packages is not None:
            (folder / name / "packages").write_text(packages)
    (folder / "node/install.sh.j2").write_text('true\n{% include "common/packages.sh.j2" %}\n')
    (folder / "common/packages.sh.j2").write_text("true\n")
    (folder / "node/node.sh.j2").write_text("{{ node.name }}\n")
    return folder


def test_package_lists_have_comments() -> None:
    assert package_names("# x\na\n b # c\n\n") == ("a", "b")


def test_the_machine_itself_comes_first(provision: Path) -> None:
    found = components(provision)
    assert [component.name for component in found] == ["node", "haproxy"]
    assert [component.install for component in found] == ["true\ntrue\n", ""]
    assert all_packages(found) == ["curl", "haproxy", "sudo"]


def test_a_clone_without_components_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="holds no component"):
        components(tmp_path)


def key(provision: Path, *builder: Path) -> str:
    return Cache(Path("/nowhere")).entry("box", "lxc", inputs(provision, builder)).key


def test_the_same_text_gives_the_same_box_wherever_it_lies(provision: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere/provision"
    shutil.copytree(provision, other)
    assert key(provision) == key(other)


@pytest.mark.parametrize("name", ["node/install.sh.j2", "common/packages.sh.j2", "haproxy/packages"])
def test_what_is_installed_decides_the_box(provision: Path, name: str) -> None:
    before = key(provision)
    with (provision / name).open("a") as file:
        file.write("more\n")
    assert key(provision) != before


def test_what_is_configured_later_does_not(provision: Path) -> None:
    before = key(provision)
    (provision / "node/node.sh.j2").write_text("changed\n")
    (provision / "node/packages").write_text("curl\nsudo\n# reordered\n")
    assert key(provision) == before


def test_every_file_of_the_builder_decides_the_box(provision: Path, tmp_path: Path) -> None:
    for path in lxc.BUILDER:
        assert path.is_file(), path
    builder = tmp_path / "lxc-config"
    builder.write_text("a")
    before = key(provision, builder)
    builder.write_text("b")
    assert key(provision, builder) != before


def test_the_box_has_what_vagrant_lxc_looks_for(tmp_path: Path) -> None:
    file = tmp_path / "lab.box"
    lxc.write_box(file, "lxc.x = y\n", "#!/bin/sh\n", Path("/cache/rootfs"))
    with tarfile.open(file) as box:
        members = {member.name: member for member in box.getmembers()}
        metadata = json.load(box.extractfile("metadata.json"))  # type: ignore[arg-type]
        rootfs = box.extractfile("rootfs.tar.gz")
        assert rootfs is not None
        with tarfile.open(fileobj=rootfs, mode="r:gz") as inner:
            assert inner.getmembers() == []
    assert metadata == {"provider": "lxc", "version": "1.0.0", "template-opts": {"--lower": "/cache/rootfs"}}
    assert set(members) == {"metadata.json", "lxc-config", "lxc-template", "rootfs.tar.gz"}
    assert members["lxc-template"].mode & 0o111
    assert file.stat().st_size < 20_000


def test_shields_lie_over_the_kernels_settings_read_only() -> None:
    lines = lxc.shield_entries(Path("/my cache/shields")).splitlines()
    assert "lxc.mount.entry = /my\\040cache/shields/kernel/panic proc/sys/kernel/panic none bind,ro 0 0" in lines
    entries = [line for line in lines if line.startswith("lxc.mount.entry")]
    assert len(entries) == len(lxc.SHIELDS)
    assert all(line.endswith(" none bind,ro 0 0") for line in entries)


def test_the_hosts_settings_are_read_only_in_machines() -> None:
    config = (HERE / "lxc-config").read_text()
    assert "lxc.mount.auto = proc:mixed " in config
    assert "proc:rw" not in config.replace('"proc:rw"', "")


def run_template(folder: Path, lower: Path, *more: str) -> subprocess.CompletedProcess[str]:
    config = folder / "lxc-config"
    config.write_text("lxc.tty.max = 0\n")
    machine = folder / "machine"
    machine.mkdir()
    (machine / "config").write_text("lxc.net.0.type = veth\nlxc.rootfs.path = dir:/somewhere\n")
    argv = [
        str(HERE / "lxc-template"),
        "--path",
        str(machine),
        "--name",
        "ha-1-m1",
        "--rootfs",
        str(machine / "rootfs"),
    ]
    argv += ["--tarball", "/box/rootfs.tar.gz", "--config", str(config), "--lower", str(lower), *more]
    return subprocess.run(argv, capture_output=True, text=True)


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    program = tmp_path / "rootfs/usr/bin/true"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    return tmp_path / "rootfs"


def test_the_template_writes_a_machine_of_its_own(tmp_path: Path, lower: Path) -> None:
    result = run_template(tmp_path, lower)
    assert result.returncode == 0, result.stderr
    machine = tmp_path / "machine"
    config = (machine / "config").read_text()
    assert f"lxc.rootfs.path = overlay:{lower}:{machine}/delta\n" in config
    assert "lxc.uts.name = ha-1-m1\n" in config
    assert "lxc.tty.max = 0\n" in config
    assert "dir:/somewhere" not in config
    assert "lxc.net" not in config, "the host's default.conf must not leak into the lab"
    for part in ("containerd", "etcd", "kubelet"):
        assert (machine / "data" / part).is_dir()
        assert f"lxc.mount.entry = {machine}/data/{part} var/lib/{part} none bind,create=dir 0 0\n" in config


def test_a_box_whose_root_is_gone_makes_no_machine(tmp_path: Path) -> None:
    result = run_template(tmp_path, tmp_path / "gone")
    assert result.returncode == 1
    assert "is not at" in result.stderr


def test_every_install_script_runs_in_the_root_and_the_mirror_is_forgotten(tmp_path: Path) -> None:
    kind = tmp_path / "it's here" / "container.sh"
    script = customize_script({"node": "printf '%s' \"$HOME\"\n"}, kind)
    assert shlex.quote(str(kind)) in script
    assert "<< 'INSTALL'\nprintf '%s' \"$HOME\"\nINSTALL\n" in script
    assert script.index("INSTALL") < script.index("vagrant-user.sh") < script.index("container.sh")
    assert "99mmdebstrap" in script
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)


def test_installed_packages_are_read_from_dpkgs_records(tmp_path: Path) -> None:
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(
        "Package: b\nStatus: install ok installed\nVersion: 2\nDescription: x\n Version: 9\n\n"
        "Package: a\nStatus: install ok installed\nVersion: 1:1.0-1\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 3\n"
    )
    assert installed(tmp_path) == {"a": "1:1.0-1", "b": "2"}


SCRIPTS = [
    *(HERE / name for name in ("container.sh", "vagrant-user.sh", "lxc-template", "lxc-seed")),
    HERE.parent / "payload/seed.sh",
    PROVISION / "kubernetes/crictl",
]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_shellcheck_has_nothing_to_say(path: Path) -> None:
    result = subprocess.run(["shellcheck", path], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


INSTALLED_BY_SCRIPT = [component for component in components(PROVISION) if component.install]


@pytest.mark.parametrize("component", INSTALLED_BY_SCRIPT, ids=lambda component: component.name)
def test_an_install_script_stands_alone_and_installs_what_its_package_list_says(component: Component) -> None:
    result = subprocess.run(["shellcheck", "-"], input=component.install, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    match = re.search(r"^packages=\(([^)]*)\)", component.install, re.MULTILINE)
    assert match is not None
    assert tuple(match[1].split()) == component.packages
    assert component.install.startswith("#!/usr/bin/env bash\n") and "apt-get" in component.install


def test_vagrant_takes_the_box_from_a_cache_with_any_name(tmp_path: Path) -> None:
    needs.programs("vagrant")
    cache = tmp_path / """mein 'Cäche' $HOME `id` #{1} * 100%20 ;&<c>|()! @@=~"""
    cache.mkdir()
    lxc.write_box(cache / "lab.box", "", "#!/bin/sh\n", cache / "rootfs")
    home = tmp_path / "home"
    added = subprocess.run(
        ["vagrant", "box", "add", "--name", "a-box", (cache / "lab.box").as_uri()],
        env={**os.environ, "VAGRANT_CHECKPOINT_DISABLE": "1", "VAGRANT_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert added.returncode == 0, added.stderr
    (metadata,) = home.glob("boxes/a-box/0/lxc/metadata.json")
    assert json.loads(metadata.read_text())["template-opts"] == {"--lower": str(cache / "rootfs")}
