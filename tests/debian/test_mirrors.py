"""A mirror answers or is named, by apt's own downloader against servers of our own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import needs
import pytest

from lab.debian.mirrors import elsewhere, releases, silent
from lab.debian.sources import Source


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
    assert elsewhere(sources) == ["cdrom:[Debian]", "file:/media/debian"]


def test_what_lies_behind_apts_own_lists_of_mirrors_is_told_as_not_asked() -> None:
    sources = [Source({"uris": "mirror+file:/etc/apt/mirrors/debian.list", "suites": "bookworm bookworm-updates"})] * 2
    assert releases(sources) == []
    assert elsewhere(sources) == ["mirror+file:/etc/apt/mirrors/debian.list"]


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


class Slow(Answering):
    """A mirror that sends its release file in trickles, as on a thin line, and never comes to its end."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "151000")
        self.end_headers()
        with suppress(OSError):  # the one who asked has gone
            while not self.server.ended.wait(0.05):  # type: ignore[attr-defined]
                self.wfile.write(bytes(1000))


@needs.apt
def test_a_slow_mirror_answers_with_its_first_bytes() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.ended = threading.Event()  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        slow = f"http://127.0.0.1:{server.server_port}/debian/dists/bookworm/InRelease"
        assert silent([slow], seconds=1) == {}
    finally:
        server.ended.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()


#: Asks for a mirror by a name, where every question about a name is heard and none is answered.
NAMELESS = """
import socket, time
from lab.debian.mirrors import silent
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("127.0.0.53", 53))
    began = time.monotonic()
    found = silent(["http://mirror.test/debian/dists/bookworm/InRelease"], seconds=1)
    print(*found.values(), time.monotonic() - began, sep="|")
"""


@needs.root
@needs.apt
def test_a_name_server_that_does_not_answer_takes_no_longer_than_a_mirror(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.53\n")
    enter = 'ip link set lo up && mount --bind "$1" /etc/resolv.conf && exec "$2" -c "$3"'
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", enter, "sh", tmp_path / "resolv.conf", sys.executable, NAMELESS],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    words, seconds = done.stdout.strip().split("|")
    assert "no answer" in words
    assert float(seconds) < 4
