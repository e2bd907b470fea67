"""A seed belongs to exactly one set of images and one runtime; a machine gets it whole or not at all."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from lab.cache import Cache, CacheError
from lab.payload import seed

HOOK = Path(__file__).parents[2] / "lab/box/lxc-seed"


def payload(tmp_path: Path, images: dict[str, str]) -> Path:
    files = {name: {"sha256": digest, "size": 1} for name, digest in images.items()}
    tmp_path.mkdir(parents=True, exist_ok=True)
    (tmp_path / "manifest.json").write_text(json.dumps({"files": files}))
    return tmp_path


def rootfs(tmp_path: Path, containerd: str) -> Path:
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    stanza = "Package: {}\nStatus: install ok {}\nVersion: {}\n"
    records = [("containerd", "installed", containerd), ("runc", "config-files", "1.1"), ("bash", "installed", "5")]
    status.write_text("\n".join(stanza.format(*record) for record in records))
    return tmp_path


def test_the_seed_follows_images_and_runtime_and_nothing_else(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    same = payload(tmp_path / "1", {"images/a.tar": "1", "bin/kubelet": "1"})
    other_program = payload(tmp_path / "2", {"images/a.tar": "1", "bin/kubelet": "2"})
    other_image = payload(tmp_path / "3", {"images/a.tar": "2", "bin/kubelet": "1"})
    old, new = rootfs(tmp_path / "old", "1.6.20"), rootfs(tmp_path / "new", "1.6.24")
    assert seed.entry(cache, old, same).path == seed.entry(cache, old, other_program).path
    assert seed.entry(cache, old, same).path != seed.entry(cache, old, other_image).path
    assert seed.entry(cache, old, same).path != seed.entry(cache, new, same).path


def test_only_installed_packages_count(tmp_path: Path) -> None:
    assert seed.runtime(rootfs(tmp_path, "1.6.20")) == {"containerd": "1.6.20"}


@pytest.mark.parametrize("text", ["{", "{}"])
def test_a_payload_without_a_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(CacheError, match=r"manifest\.json"):
        seed.images_digest(tmp_path)


@pytest.fixture
def grown(tmp_path: Path) -> Path:
    """A seed as containerd leaves one, in small."""
    folder = tmp_path / "seed"
    for name in ("content/blobs/sha256/abc", "metadata/meta.db", "snapshots/1/fs/bin/tool", "snapshots/metadata.db"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (folder / "content/ingest").mkdir()
    return folder


def machine(tmp_path: Path) -> Path:
    folder = tmp_path / "machine/data/containerd"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run_hook(tmp_path: Path, source: Path) -> None:
    config = tmp_path / "machine/config"
    subprocess.run([HOOK, source, "name", "lxc", "pre-start"], env={"LXC_CONFIG_FILE": str(config)}, check=True)


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def test_layers_are_shared_and_databases_are_not(tmp_path: Path, grown: Path) -> None:
    target = machine(tmp_path)
    run_hook(tmp_path, grown)
    assert contents(target) == contents(grown)
    assert (target / "content/ingest").is_dir()
    for name in contents(grown):
        shared = (target / name).samefile(grown / name)
        assert shared is not name.endswith(".db"), name


def test_a_machine_that_has_worked_keeps_what_it_has(tmp_path: Path, grown: Path) -> None:
    target = machine(tmp_path)
    run_hook(tmp_path, grown)
    (target / "metadata/meta.db").write_text("pods")
    run_hook(tmp_path, grown)
    assert (target / "metadata/meta.db").read_text() == "pods"


def test_a_machine_that_began_without_a_seed_is_left_alone(tmp_path: Path, grown: Path) -> None:
    target = machine(tmp_path)
    (target / "meta.db").write_text("own")
    run_hook(tmp_path, grown)
    assert contents(target) == {"meta.db": "own"}


def test_an_interrupted_copy_is_begun_afresh(tmp_path: Path, grown: Path) -> None:
    target = machine(tmp_path)
    (target / ".seeding").touch()
    (target / "half").write_text("half")
    run_hook(tmp_path, grown)
    assert contents(target) == contents(grown)
