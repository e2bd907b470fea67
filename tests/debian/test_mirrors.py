"""A mirror answers or is named, by apt's own downloader against servers of our own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import needs
import pytest

from lab.debian.apt import Source
from lab.debian.mirrors import releases, silent


class Answering(BaseHTTPRequestHandler):
    """A mirror that has bookworm and nothing else."""

    def do_GET(self) -> None:
        good = self.path == "/debian/dists/bookworm/InRelease"
        self.send_response(200 if good else 404)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def mirror() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_each_mirror_is_asked_once_and_only_over_the_network() -> None:
    sources = [
        Source({"uris": "http://a.test/debian/", "suites": "bookworm bookworm-updates"}),
        Source({"uris": "http://a.test/debian https://b.test/security", "suites": "bookworm-security"}),
        Source({"uris": "cdrom:[Debian] file:/media/debian", "suites": "bookworm"}),
    ]
    assert releases(sources) == [
        "http://a.test/debian/dists/bookworm/InRelease",
        "https://b.test/security/dists/bookworm-security/InRelease",
    ]


@needs.apt
def test_who_answers_is_fine_and_who_does_not_is_named_with_apts_words(mirror: str) -> None:
    good = f"{mirror}/debian/dists/bookworm/InRelease"
    empty = f"{mirror}/empty/dists/bookworm/InRelease"
    with socket.create_server(("127.0.0.1", 0)) as mute:
        hangs = f"http://127.0.0.1:{mute.getsockname()[1]}/debian/dists/bookworm/InRelease"
        found = silent([good, empty, hangs], seconds=1)
    assert found.keys() == {empty, hangs}
    assert "404" in found[empty]
    assert found[hangs]
