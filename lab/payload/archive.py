"""Container images of one layer, written as archives that `ctr images import` reads. Same contents, same bytes."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.host import archives

#: The processor's name in Debian and in image configurations (GOARCH).
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Link:
    """A symbolic link to ``target``."""

    target: str


@dataclass(frozen=True)
class Image:
    """What an image is called and holds. ``tree`` maps absolute paths to a host's file, a text or a link.

    Files keep their execute permission and nothing else: owner root, date 1970. Parent folders come by themselves.
    """

    name: str
    tree: Mapping[str, Path | str | Link]
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    )

    @property
    def file_name(self) -> str:
        """A file name for the archive: the last part of the name, without the tag's colon."""
        return self.name.rpartition("/")[2].replace(":", "-") + ".tar"


def write(image: Image, folder: Path, machine: str) -> Path:
    """Write the archive of ``image`` into ``folder`` and return its path; ``machine`` as os.uname calls it."""
    layer = folder / f".{image.file_name}.layer"
    write_layer(image, layer)
    with layer.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    config = json.dumps(configuration(image, digest, ARCHITECTURES[machine]), sort_keys=True).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = [{"Config": config_name, "RepoTags": [image.name], "Layers": [f"{digest}/layer.tar"]}]
    target = folder / image.file_name
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
        archives.add(archive, "manifest.json", json.dumps(manifest).encode())
        archives.add(archive, config_name, config)
        member = tarfile.TarInfo(f"{digest}/layer.tar")
        member.size = layer.stat().st_size
        with layer.open("rb") as file:
            archive.addfile(member, file)
    layer.unlink()
    return target


def configuration(image: Image, layer_digest: str, architecture: str) -> dict[str, object]:
    """The image's configuration (OCI image specification, config.md)."""
    process: dict[str, object] = {"Env": [f"{name}={value}" for name, value in sorted(image.environment.items())]}
    if image.entrypoint:
        process["Entrypoint"] = list(image.entrypoint)
    if image.command:
        process["Cmd"] = list(image.command)
    return {
        "architecture": architecture,
        "os": "linux",
        "config": process,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
    }


def write_layer(image: Image, target: Path) -> None:
    """Write the layer: all paths of the tree with their parent folders, sorted."""
    tree: dict[str, Path | str | Link | None] = {path.strip("/"): content for path, content in image.tree.items()}
    for path in list(tree):
        for parent in Path(path).parents:
            if str(parent) != ".":
                tree.setdefault(str(parent), None)
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as layer:
        for path in sorted(tree):
            _add_path(layer, path, tree[path])


def _add_path(layer: tarfile.TarFile, path: str, content: Path | str | Link | None) -> None:
    member = tarfile.TarInfo(path)
    if content is None:
        member.type, member.mode = tarfile.DIRTYPE, 0o1777 if path == "tmp" else 0o755
        layer.addfile(member)
    elif isinstance(content, Link):
        member.type, member.mode, member.linkname = tarfile.SYMTYPE, 0o777, content.target
        layer.addfile(member)
    elif isinstance(content, str):
        archives.add(layer, path, content.encode())
    else:
        status = content.stat()
        member.size, member.mode = status.st_size, 0o755 if status.st_mode & 0o111 else 0o644
        with content.open("rb") as file:
            layer.addfile(member, file)
