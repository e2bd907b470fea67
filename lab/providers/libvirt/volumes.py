"""Disks in libvirt's storage pool: the box's image, on which all machines' disks are thin layers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from lab.command import LineSink, Note
from lab.host import files
from lab.providers.libvirt import connection as virt

#: The pool that vagrant-libvirt uses unless told otherwise, and makes by itself where it is missing.
POOL = "default"

#: Where it lies (libvirt's own default; a private daemon has its own folder there).
POOL_PATH = "/var/lib/libvirt/images"

#: Bytes that are sent at once to a daemon that cannot read our files.
CHUNK = 256 * 1024


def box_volume(name: str, version: str) -> str:
    """What vagrant-libvirt calls the image of a box in the pool (its handle_box_image action)."""
    return f"{name.replace('/', '-VAGRANTSLASH-')}_vagrant_box_image_{version}_box.img"


def ensure_pool(connection: Any) -> Any:
    """The storage pool, defined and started when it was not."""
    try:
        pool = connection.storagePoolLookupByName(POOL)
    except virt.library().libvirtError as error:
        if not virt.absent(error):
            raise
        pool = connection.storagePoolDefineXML(
            f"<pool type='dir'><name>{POOL}</name><target><path>{POOL_PATH}</path></target></pool>"
        )
        pool.build()
        pool.setAutostart(1)
    if not pool.isActive():
        pool.create()
    return pool


def find_pool(connection: Any) -> Any | None:
    """The storage pool when there is one that runs, else None; starts nothing."""
    pools = [pool for pool in connection.listAllStoragePools() if pool.name() == POOL and pool.isActive()]
    return pools[0] if pools else None


def place(pool: Any, name: str, image: Path, folder: Path | None, sink: LineSink) -> None:
    """Have the box's image in the pool, whole: a link where this host's ``folder`` is the pool, an upload elsewhere.

    An image whose upload was interrupted is replaced.
    """
    size = image.stat().st_size
    existing = _lookup(pool, name)
    if existing is not None:
        if physical_size(existing) == size:
            return
        sink(Note(f"the box's image {name} was not whole (an upload was interrupted): putting it there anew"))
        existing.delete()
    if folder is not None:
        _link(image, folder / name)
        pool.refresh()
    else:
        _upload(pool, name, image, sink)


def physical_size(volume: Any) -> int:
    """Bytes of the volume's file, holes included."""
    return int(volume.infoFlags(virt.library().VIR_STORAGE_VOL_GET_PHYSICAL)[2])


@contextmanager
def running(connection: Any) -> Iterator[None]:
    """Have the storage pool, where there is one, run for the with-block: one that is stopped lists no volumes."""
    stopped = [pool for pool in connection.listAllStoragePools() if pool.name() == POOL and not pool.isActive()]
    for pool in stopped:
        pool.create()
    try:
        yield
    finally:
        for pool in stopped:
            pool.destroy()  # libvirt's word for stopping it: nothing in it is touched


def mine(connection: Any, prefix: str) -> list[Any]:
    """The volumes of the lab with this prefix."""
    pool = find_pool(connection)
    if pool is None:
        return []
    pool.refresh()  # a file that somebody put there by hand is known only after this
    return virt.named(pool.listAllVolumes(), prefix)


def remove(volumes: Sequence[Any]) -> list[str]:
    """Delete these volumes."""
    removed = []
    for volume in volumes:
        removed.append(f"volume {volume.name()}")
        volume.delete()
    return removed


def _lookup(pool: Any, name: str) -> Any | None:
    pool.refresh()
    try:
        return pool.storageVolLookupByName(name)
    except virt.library().libvirtError as error:
        if virt.absent(error):
            return None
        raise


def _link(image: Path, target: Path) -> None:
    """Give the file a second name; where that is another disk, copy it, whole or not at all."""
    with files.begun(target) as unfinished:
        try:
            os.link(image, unfinished)
        except OSError:  # another disk, or a file system without links: the copy below fails if it is anything worse
            shutil.copyfile(image, unfinished)


def _upload(pool: Any, name: str, image: Path, sink: LineSink) -> None:
    size = image.stat().st_size
    capacity = _virtual_size(image)
    sink(f"uploading the box's image ({size >> 20} MiB)")
    volume = pool.createXML(
        f"<volume><name>{escape(name)}</name><capacity>{capacity}</capacity><allocation>{size}</allocation>"
        "<target><format type='qcow2'/></target></volume>"
    )
    stream = pool.connect().newStream()
    volume.upload(stream, 0, size)
    try:
        with image.open("rb") as file:
            while chunk := file.read(CHUNK):
                _send(stream, chunk)
        stream.finish()
    except BaseException:
        volume.delete()
        raise
    pool.refresh()


def _send(stream: Any, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        sent = stream.send(bytes(view))
        view = view[sent:]


def _virtual_size(image: Path) -> int:
    """The disk size that a qcow2 file stands for (bytes 24–31 of its header; QEMU's docs/interop/qcow2.txt)."""
    with image.open("rb") as file:
        header = file.read(32)
    if header[:4] != b"QFI\xfb":
        raise ValueError(f"{image} is no qcow2 image")
    return int.from_bytes(header[24:32], "big")
