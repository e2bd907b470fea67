"""The client's probe against real TLS servers on the loopback: what it measures must match what was done to them."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.machines import programs
from lab.verify import outage
from lab.verify.recorded import Connection

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server(threading.Thread):
    """A TLS server that can be stopped, and started again on the same port."""

    def __init__(self, certificate: Path, port: int = 0, answer: bytes = ANSWER, delay: float = 0.0) -> None:
        super().__init__(daemon=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.answer, self.delay = answer, delay
        self.ended = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.ended.is_set():
            try:
                client, _ = self.listener.accept()
            except OSError:
                return  # closed by stop()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        with client:
            client.settimeout(5)
            try:
                with self.context.wrap_socket(client, server_side=True) as tls:
                    tls.recv(4096)
                    self.ended.wait(self.delay)
                    tls.sendall(self.answer)
            except OSError:
                return  # the probe gave up first: that is what is tested

    def stop(self) -> None:
        self.ended.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Probe:
    """The probe's program as it runs on a machine: out of its standard input."""

    def __init__(self, port: int, lifetime: float = 30.0, rate: int = 50) -> None:
        self.lines: list[dict[str, object]] = []
        self.ended = False
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-", "127.0.0.1", str(port), str(rate), str(lifetime)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(programs.text("connections"))
        self.process.stdin.close()
        self.came = threading.Condition()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self.came:
                self.lines.append(json.loads(line))
                self.came.notify_all()
        with self.came:
            self.ended = True
            self.came.notify_all()

    def wait(self, count: int, seconds: float = 20.0) -> None:
        with self.came:
            enough = self.came.wait_for(lambda: len(self.connections()) >= count or self.ended, seconds)
            assert enough and not self.ended, self.lines[-1:]

    def connections(self) -> list[Connection]:
        found = [
            Connection(float(str(r["t"])), float(str(r["latency"])), float(str(r["late"])), str(r["outcome"]))
            for r in self.lines
            if r["kind"] == "probe"
        ]
        return sorted(found, key=lambda connection: connection.start)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(5)
        self.reader.join(5)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", file]
    own = ["openssl", "req", "-x509", "-subj", "/CN=x", "-days", "1", *key, "-out", f"{file}.crt"]
    subprocess.run(own, check=True, capture_output=True)
    file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
    return file


@pytest.fixture
def server(certificate: Path) -> Iterator[Server]:
    server = Server(certificate)
    yield server
    if not server.ended.is_set():
        server.stop()


def probing(port: int, count: int) -> list[Connection]:
    probe = Probe(port)
    try:
        probe.wait(count)
    finally:
        probe.stop()
    return probe.connections()


def test_fifty_a_second_and_all_succeed(server: Server) -> None:
    found = probing(server.port, 100)
    assert {connection.outcome for connection in found} == {"ok"}
    rate = (len(found) - 1) / (found[-1].start - found[0].start)
    assert 48 < rate < 52


def test_the_outage_of_a_stopped_server_is_measured(server: Server, certificate: Path) -> None:
    probe = Probe(server.port)
    try:
        probe.wait(50)
        server.stop()
        stopped = time.time()
        probe.wait(len(probe.connections()) + 25)
        again = Server(certificate, server.port)
        started = time.time()
        probe.wait(len(probe.connections()) + 50)
        again.stop()
    finally:
        probe.stop()
    found = [c for c in probe.connections() if c.start < started + 0.8]
    (suffered,) = outage.outages(found, outage.broken)
    # Fifty a second measure to 20 ms; the rest is what a busy machine takes from stopping and starting to their stamps.
    assert -0.05 < suffered.seconds - (started - stopped) < 0.25
    assert {c.outcome for c in found if c.outcome != "ok"} <= {"refused", "reset", "closed"}


def test_silence_ends_after_a_second_and_does_not_slow_the_schedule() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=256) as silent:
        found = probing(silent.getsockname()[1], 30)
    assert {connection.outcome for connection in found} == {"timeout at handshake"}
    assert all(1.0 <= connection.latency < 1.5 for connection in found)
    rate = (len(found) - 1) / (found[-1].start - found[0].start)
    assert 48 < rate < 52


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert {connection.outcome for connection in probing(port, 20)} == {"refused"}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", "http 500"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", "ok"),
        (b"", "closed"),
        (b"SSH-2.0-x\r\n", "closed"),
    ],
)
def test_answers(certificate: Path, answer: bytes, outcome: str) -> None:
    server = Server(certificate, answer=answer)
    try:
        assert {connection.outcome for connection in probing(server.port, 10)} == {outcome}
    finally:
        server.stop()


def test_an_answer_that_comes_late_is_recorded_with_its_time(certificate: Path) -> None:
    server = Server(certificate, delay=0.3)
    try:
        found = probing(server.port, 10)
    finally:
        server.stop()
    assert {connection.outcome for connection in found} == {"ok"}
    assert all(connection.latency > 0.3 for connection in found)


def test_answers_that_came_while_the_client_stood_still_did_come(certificate: Path) -> None:
    server = Server(certificate, delay=0.3)
    probe = Probe(server.port)
    try:
        probe.wait(30)
        probe.process.send_signal(signal.SIGSTOP)
        time.sleep(1.3)  # its own clock goes on: this is how long it stands still
        probe.process.send_signal(signal.SIGCONT)
        probe.wait(len(probe.connections()) + 30)
    finally:
        probe.stop()
        server.stop()
    silent = [c for c in probe.connections() if c.outcome.startswith("timeout")]
    assert len(silent) <= 2, "fifteen had asked; one or two may have been shaking hands"


def test_no_tls_behind_the_port() -> None:
    def serve(listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # the test is over
            with client:
                client.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        found = probing(listener.getsockname()[1], 10)
        listener.shutdown(socket.SHUT_RDWR)
    assert all(c.outcome.startswith("tls ") or c.outcome == "reset" for c in found), found


def test_it_ends_by_itself(server: Server) -> None:
    probe = Probe(server.port, lifetime=0.5)
    assert probe.process.wait(5) == 0
    probe.stop()


def test_it_ends_when_nobody_reads(server: Server) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", programs.text("connections"), "127.0.0.1", str(server.port), "50", "60"],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(5) == 0
