"""A Debian mirror of the tests' own, whole or stopping half-way."""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from lab.debian.sources import Source


class _Mirror(BaseHTTPRequestHandler):
    """Serves ``files``; sends half of what is named in ``cut`` and closes."""

    files: ClassVar[dict[str, bytes]] = {}
    cut: tuple[str, ...] = ()

    def do_GET(self) -> None:
        body = self.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path.endswith(self.cut) and self.cut else body)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def mirror(cut: tuple[str, ...] = ()) -> Iterator[Source]:
    """A Debian mirror with one source package and one binary package, trusted without a signature."""
    tar = b"x" * 4000
    dsc = b"Format: 1.0\nSource: kubernetes\n"
    lines = [(dsc, "kubernetes_1.20.2-1.dsc"), (tar, "kubernetes_1.20.2.orig.tar.gz")]
    sums = "".join(f"\n {hashlib.sha256(body).hexdigest()} {len(body)} {name}" for body, name in lines)
    fields = "Package: kubernetes\nVersion: 1.20.2-1\nFormat: 1.0\nDirectory: pool\n"
    plain = f"{fields}Checksums-Sha256:{sums}\n\n".encode()
    sources = gzip.compress(plain, mtime=0)
    deb = b"!<arch>\n" + b"x" * 4000
    binary = "Package: vagrant-lxc\nVersion: 1.4.3-3\nArchitecture: all\nFilename: pool/vagrant-lxc_1.4.3-3_all.deb\n"
    binary += f"Size: {len(deb)}\nSHA256: {hashlib.sha256(deb).hexdigest()}\n\n"
    nothing = b"Package: nothing\nVersion: 1\nArchitecture: all\n" * 50
    packages = binary.encode() + nothing
    indexes = {"main/source/Sources": plain, "main/source/Sources.gz": sources}
    for arch in ("amd64", "arm64"):
        indexes[f"main/binary-{arch}/Packages"] = packages
        indexes[f"main/binary-{arch}/Packages.gz"] = gzip.compress(packages, mtime=0)
    listed = "".join(f" {hashlib.sha256(body).hexdigest()} {len(body)} {name}\n" for name, body in indexes.items())
    head = "Suite: bookworm\nCodename: bookworm\nDate: Sat, 10 Jun 2023 08:00:00 UTC\nComponents: main\n"
    release = f"{head}Architectures: amd64 arm64\nSHA256:\n{listed}".encode()
    files = {
        "/dists/bookworm/Release": release,
        **{f"/dists/bookworm/{name}": body for name, body in indexes.items() if name.endswith(".gz")},
        "/pool/kubernetes_1.20.2-1.dsc": dsc,
        "/pool/kubernetes_1.20.2.orig.tar.gz": tar,
        "/pool/vagrant-lxc_1.4.3-3_all.deb": deb,
    }
    handler = type("Handler", (_Mirror,), {"files": files, "cut": cut})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        uri = f"http://127.0.0.1:{server.server_address[1]}/"
        yield Source({"uris": uri, "suites": "bookworm", "components": "main", "trusted": "yes"})
    finally:
        server.shutdown()
        server.server_close()
