"""The programs that run on machines, here on this one: each against a real socket, namespace or TLS server."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import needs
import pytest

from lab.machines import programs
from lab.verify.recorded import Recorded
from lab.verify.records import read


def run(name: str, *args: object, status: int = 0) -> list[dict[str, Any]]:
    """The lines that a program prints when it is run as on a machine: records, each of a kind that is known."""
    words = [sys.executable, "-u", "-", *map(str, args)]
    done = subprocess.run(words, input=programs.text(name), capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [read(line).model_dump(include=set(line)) for line in told] == told
    return told


def test_no_program_contains_the_mark_that_ends_it() -> None:
    assert len(list(programs.FOLDER.glob("*.py"))) == 6
    assert all(programs.END not in file.read_text() for file in programs.FOLDER.glob("*.py"))


# audit logs and haproxy's counts


def event(number: int, **change: Any) -> str:
    """One line of an audit log: a pod created by the agent."""
    about = {"auditID": f"id{number}", "stage": "ResponseComplete", "verb": "create", "userAgent": "halab-x"}
    rest = {"objectRef": {"resource": "pods", "name": "p"}, "responseStatus": {"code": 201}}
    return json.dumps({**about, **rest, **change}) + "\n"


def test_audited_requests_are_counted_once_and_only_those(tmp_path: Path) -> None:
    (tmp_path / "audit-2021.log").write_text(event(1) + event(2))
    others = [
        event(2),
        event(3),
        event(4, stage="RequestReceived"),
        event(5, verb="update"),
        event(6, userAgent="halab-xy"),
        event(7, objectRef={"resource": "pods", "subresource": "binding"}),
        event(8, objectRef={"resource": "leases"}),
        event(9, responseStatus={"code": 409}),
        event(10)[:40],
    ]
    (tmp_path / "audit.log").write_text("".join(others))
    (found,) = run("counters", "audit", tmp_path, "halab-x")
    assert (found["kind"], found["count"], found["files"]) == ("audit", 3, 2)


def test_sessions_are_read_from_the_stats_socket(tmp_path: Path) -> None:
    table = (
        "# pxname,svname,qcur,stot,status\n"
        "kubernetes,FRONTEND,,99,OPEN\n"
        "apiservers,master1,0,33,UP\napiservers,master2,0,32,DOWN\napiservers,BACKEND,0,65,UP\n\n"
    )
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        asked: list[bytes] = []

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                asked.append(client.recv(100))
                client.sendall(table.encode())

        threading.Thread(target=serve, daemon=True).start()
        (found,) = run("counters", "sessions", path, "apiservers")
    assert asked == [b"show stat\n"]
    assert found["sessions"] == {"master1": 33, "master2": 32}
    assert found["status"] == {"master1": "UP", "master2": "DOWN"}


# the VIP's holder


@needs.root
def test_the_watcher_tells_of_each_change_at_once() -> None:
    words = ["unshare", "--net", sys.executable, "-u", "-c", programs.text("holders"), "10.9.8.7", "2", "60"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None

        def said() -> tuple[bool, str]:
            assert watcher.stdout is not None
            record = json.loads(watcher.stdout.readline())
            return record["holds"], record["why"]

        def ip(*words: str) -> None:
            subprocess.run(["nsenter", "-t", str(watcher.pid), "-n", "ip", *words], check=True)

        try:
            assert said() == (False, "start")
            ip("address", "add", "10.9.8.6/24", "dev", "lo")
            ip("address", "add", "10.9.8.7/32", "dev", "lo")
            assert said() == (True, "change")
            ip("address", "del", "10.9.8.7/32", "dev", "lo")
            assert said() == (False, "change")
            ip("address", "add", "10.9.8.7/24", "dev", "lo")
            assert said() == (True, "change")
            assert said() == (True, "beat")
        finally:
            watcher.terminate()


def test_wherever_a_watcher_stands_still_its_next_look_says_for_how_long() -> None:
    now, said, looked = 0.0, [], 0

    def pass_by(seconds: float) -> None:
        nonlocal now
        now += seconds

    def select(*args: Any) -> tuple[list[Any], list[Any], list[Any]]:
        pass_by(args[3])
        return [], [], []

    def held(address: str) -> bool:
        nonlocal looked
        looked += 1
        pass_by(0.25 if looked == 4 else 0.0)  # while it looks
        return False

    def emit(record: dict[str, Any]) -> None:
        said.append((round(record["t"], 3), round(record["late"], 3)))
        pass_by(0.35 if len(said) == 7 else 0.0)  # while it tells

    watcher: dict[str, Any] = {"__name__": "watcher"}
    exec(programs.text("holders"), watcher)
    watcher["time"] = SimpleNamespace(time=lambda: now, monotonic=lambda: now)
    watcher |= {"select": SimpleNamespace(select=select), "held": held, "emit": emit}
    watcher["watch"]("127.0.0.1", 0.1, 1.3)
    beats = [(0.1, 0.0), (0.2, 0.0), (0.55, 0.25), (0.6, 0.0), (0.7, 0.0), (0.8, 0.0), (1.15, 0.25), (1.2, 0.0)]
    assert said[1:] == [*beats, (1.3, 0.0)]


@needs.root
def test_a_watcher_that_stood_still_tells_how_old_its_news_may_be() -> None:
    words = ["unshare", "--net", sys.executable, "-u", "-c", programs.text("holders"), "10.9.8.7", "0.1", "60"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        said: list[dict[str, Any]] = []

        def hear(until: Callable[[], bool]) -> None:
            assert watcher.stdout is not None
            while not until():
                record = json.loads(watcher.stdout.readline())
                said.append({**record, "source": "master1", "r": record["t"]})

        try:
            hear(lambda: len(said) > 2)
            watcher.send_signal(signal.SIGSTOP)
            words = ["nsenter", "-t", str(watcher.pid), "-n", "ip", "address", "add", "10.9.8.7/32", "dev", "lo"]
            subprocess.run(words, check=True)
            added = time.time()
            time.sleep(0.3)  # it stands still for so long
            watcher.send_signal(signal.SIGCONT)
            hear(lambda: any(record["holds"] and record["why"] == "beat" for record in said))
        finally:
            watcher.terminate()
    looks = Recorded(read(line) for line in said).seen("master1")
    taken = next(look for look in looks if look.holds)
    before = looks[looks.index(taken) - 1]
    assert taken.at - added > 0.25, "seen late"
    assert before.at - before.late - 0.001 <= taken.at - taken.late <= added, "and known to be"


# the API's client


class Cluster(BaseHTTPRequestHandler):
    """As much of an API server as the client wants; it notes what it was asked."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[tuple[str, str, str]]]
    failures: ClassVar[list[int]]
    events: ClassVar[dict[str, list[dict[str, Any]]]]
    refusals: ClassVar[list[tuple[int, bytes]]]
    together: ClassVar[int] = 1
    ended: ClassVar[threading.Event]
    lock = threading.Lock()

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def note(self) -> None:
        subject = dict(part[0] for part in self.connection.getpeercert()["subject"])  # type: ignore[attr-defined]
        assert subject["commonName"] == "admin"
        with self.lock:
            self.asked.append((self.command, self.path, self.headers["User-Agent"]))

    def do_POST(self) -> None:
        self.note()
        pod = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert pod["metadata"]["labels"] == {"app": "halab-verify"}
        with self.lock:
            status = self.failures.pop(0) if self.failures else 201
        self.answer(status, json.dumps({"message": "no"}).encode() if status >= 400 else b"{}")

    def do_DELETE(self) -> None:
        self.note()
        self.answer(200, b'{"items": [{}, {}]}')

    def do_GET(self) -> None:
        self.note()
        with self.lock:
            refusal = self.refusals.pop(0) if self.refusals else None
        if refusal:
            self.answer(*refusal)
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        resource = self.path.partition("?")[0].rpartition("/")[2]
        with self.lock:
            events = self.events[resource][: self.together]
            del self.events[resource][: self.together]
        for one in events:
            line = (json.dumps(one) + "\n").encode()
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        self.ended.wait(10)
        self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pki")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new, "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.crt", "-days", "1")
    (folder / "server.ext").write_text("subjectAltName=IP:127.0.0.1\n")
    (folder / "admin.ext").write_text("extendedKeyUsage=clientAuth\n")
    for name in ("server", "admin"):
        openssl("req", *new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        sign = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1", "-extfile", f"{name}.ext")
        openssl("x509", "-req", "-in", f"{name}.csr", *sign, "-out", f"{name}.crt")
    fields = {
        "certificate-authority-data": "ca.crt",
        "client-certificate-data": "admin.crt",
        "client-key-data": "admin.key",
    }
    text = "\n".join(
        f"    {field}: {b64encode((folder / file).read_bytes()).decode()}" for field, file in fields.items()
    )
    (folder / "admin.conf").write_text(f"apiVersion: v1\n{text}\n")
    return {file.name: file for file in folder.iterdir()}


@pytest.fixture
def cluster(credentials: dict[str, Path]) -> Iterator[tuple[str, type[Cluster]]]:
    class Fresh(Cluster):
        asked: ClassVar[list[tuple[str, str, str]]] = []
        failures: ClassVar[list[int]] = []
        events: ClassVar[dict[str, list[dict[str, Any]]]] = {"pods": [], "leases": [], "kube-scheduler": []}
        refusals: ClassVar[list[tuple[int, bytes]]] = []
        together: ClassVar[int] = 1
        ended: ClassVar[threading.Event] = threading.Event()

    Fresh.ended.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Fresh)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(credentials["server.crt"], credentials["server.key"])
    context.load_verify_locations(credentials["ca.crt"])
    context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}", Fresh
    Fresh.ended.set()
    server.shutdown()
    server.server_close()


def test_many_pods_each_with_a_name_and_the_agent(
    cluster: tuple[str, type[Cluster]], credentials: dict[str, Path]
) -> None:
    endpoint, seen = cluster
    seen.failures[:] = [500]
    said = run("api", endpoint, credentials["admin.conf"], "halab-spread-1", "pods", 3, "spread-1")
    assert [line["status"] for line in said] == [500, 201, 201]
    assert len({line["pod"] for line in said}) == 3
    assert seen.asked == [("POST", "/api/v1/namespaces/default/pods", "halab-spread-1")] * 3


def state(node: str = "", phase: str = "Pending") -> dict[str, Any]:
    return {"type": "MODIFIED", "object": {"spec": {"nodeName": node} if node else {}, "status": {"phase": phase}}}


def test_a_pod_is_created_in_the_end_and_followed_until_it_runs(
    cluster: tuple[str, type[Cluster]], credentials: dict[str, Path]
) -> None:
    endpoint, seen = cluster
    seen.failures[:] = [503]
    seen.events["pods"] = [state(), state("worker1"), state("worker1"), state("worker1", "Running")]
    said = run("api", endpoint, credentials["admin.conf"], "halab-pod", "pod", "verify-1", 20)
    assert [(r.get("event"), r.get("node")) for r in said if r["kind"] == "pod"] == [
        ("created", None),
        ("scheduled", "worker1"),
        ("running", "worker1"),
    ]
    assert "status 503" in said[0]["what"]


def test_a_lease_is_told_when_its_holder_changes(
    cluster: tuple[str, type[Cluster]], credentials: dict[str, Path]
) -> None:
    endpoint, seen = cluster
    holders = ["master1_a", "master1_a", "master2_b"]
    seen.events["leases"] = [{"type": "ADDED", "object": {"spec": {"holderIdentity": holder}}} for holder in holders]
    said = run("api", endpoint, credentials["admin.conf"], "halab-lease", "lease", "kube-scheduler", 1)
    assert [line["holder"] for line in said if line["kind"] == "lease"] == ["master1_a", "master2_b"]


def renewal(holder: str) -> dict[str, Any]:
    return {"type": "ADDED", "object": {"spec": {"holderIdentity": holder}}}


def refused(code: int, message: str) -> bytes:
    return json.dumps({"kind": "Status", "status": "Failure", "message": message, "code": code}).encode() + b"\n"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, refused(500, "etcdserver: leader changed"), "status 500 etcdserver: leader changed"),
        (403, refused(403, "leases is forbidden"), "status 403 leases is forbidden"),
        (502, b"<html>bad gateway</html>", "status 502 <html>bad gateway</html>"),
        (200, refused(500, "etcdserver: leader changed"), "no event: {"),
        (200, b'{"type": "ERROR", "object": {"message": "too old resource version"}}\n', "too old resource version"),
        (200, b"[1]\n", "no event: [1]"),
        (200, b"garbage\n", "Expecting value"),
    ],
    ids=["leader changed", "starting", "no Status", "a Status, no event", "an event of error", "a list", "junk"],
)
def test_a_watch_that_is_refused_says_why_and_tries_again(
    status: int, body: bytes, said: str, cluster: tuple[str, type[Cluster]], credentials: dict[str, Path]
) -> None:
    endpoint, seen = cluster
    seen.refusals[:] = [(status, body)] * 2
    seen.events["leases"] = [renewal("master1_a")]
    told = run("api", endpoint, credentials["admin.conf"], "halab-lease", "lease", "kube-scheduler", 1)
    assert [line["kind"] for line in told] == ["trouble", "trouble", "lease"]
    assert told[0]["what"].startswith(f"watch of kube-scheduler: {said}")


def test_a_lease_that_was_seen_again_unchanged_is_told_too(
    cluster: tuple[str, type[Cluster]], credentials: dict[str, Path]
) -> None:
    endpoint, seen = cluster
    seen.events["leases"] = [renewal(holder) for holder in ("master1_a", "master1_a", "master2_b", "master2_b")]
    told = run("api", endpoint, credentials["admin.conf"], "halab-lease", "lease", "kube-scheduler", 1)
    assert [(line["kind"], line["holder"]) for line in told] == [
        ("lease", "master1_a"),
        ("lease-seen", "master1_a"),
        ("lease", "master2_b"),
        ("lease-seen", "master2_b"),
    ]
    assert all(line["found"] for line in told), "each came with a watch of its own"


def test_what_comes_about_in_an_open_watch_was_not_found(
    cluster: tuple[str, type[Cluster]], credentials: dict[str, Path]
) -> None:
    endpoint, seen = cluster
    seen.together = 3
    seen.events["leases"] = [renewal(holder) for holder in ("master1_a", "master1_a", "master2_b")]
    told = run("api", endpoint, credentials["admin.conf"], "halab-lease", "lease", "kube-scheduler", 1)
    assert [(line["kind"], line["found"]) for line in told] == [
        ("lease", True),
        ("lease-seen", False),
        ("lease", False),
    ]


def test_a_watch_that_falls_silent_is_opened_afresh_and_that_is_no_trouble(
    cluster: tuple[str, type[Cluster]], credentials: dict[str, Path]
) -> None:
    """A leader that is gone renews nothing, and neither does one behind a connection that is gone."""
    endpoint, seen = cluster
    seen.ended.clear()
    seen.events["leases"] = [renewal("master1_a")] * 2
    told = run("api", endpoint, credentials["admin.conf"], "halab-lease", "lease", "kube-scheduler", 4)
    assert [(line["kind"], line.get("found")) for line in told] == [("lease", True), ("lease-seen", True)]
    assert 2.9 < told[1]["t"] - told[0]["t"] < 4


def test_whoever_follows_a_lease_for_nobody_ends_at_its_next_renewal(
    cluster: tuple[str, type[Cluster]], credentials: dict[str, Path]
) -> None:
    """Nothing changes, so that nothing is said: the end of a killed verify is seen by its closed pipe alone."""
    endpoint, seen = cluster
    renewal = {"type": "MODIFIED", "object": {"spec": {"holderIdentity": "master1_a"}}}
    seen.events["leases"] = [renewal] * 10_000
    words = [endpoint, str(credentials["admin.conf"]), "halab-lease", "lease", "kube-scheduler", "60"]
    with subprocess.Popen(
        [sys.executable, "-u", "-c", programs.text("api"), *words], stdout=subprocess.PIPE, text=True
    ) as follower:
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["holder"] == "master1_a"
        assert follower.poll() is None
        follower.stdout.close()
        assert follower.wait(10) == 0


def test_whoever_follows_a_pod_for_nobody_ends_when_the_pod_is_deleted(
    cluster: tuple[str, type[Cluster]], credentials: dict[str, Path]
) -> None:
    endpoint, seen = cluster
    seen.events["pods"] = [{"type": "DELETED", "object": state()["object"]}] * 10_000
    words = [endpoint, str(credentials["admin.conf"]), "halab-pod", "pod", "verify-1", "60"]
    with subprocess.Popen(
        [sys.executable, "-u", "-c", programs.text("api"), *words], stdout=subprocess.PIPE, text=True
    ) as follower:
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["event"] == "created"
        assert json.loads(follower.stdout.readline())["what"] == "verify-1 was deleted"
        follower.stdout.close()
        assert follower.wait(10) == 0


def test_cleaning_asks_for_its_own_pods_only(cluster: tuple[str, type[Cluster]], credentials: dict[str, Path]) -> None:
    endpoint, seen = cluster
    (said,) = run("api", endpoint, credentials["admin.conf"], "halab-clean", "clean")
    assert said["count"] == 2
    path = "/api/v1/namespaces/default/pods?labelSelector=app%3Dhalab-verify"
    assert seen.asked == [("DELETE", path, "halab-clean"), ("GET", path, "halab-clean")]


def test_an_impostor_is_not_asked(
    credentials: dict[str, Path], cluster: tuple[str, type[Cluster]], tmp_path: Path
) -> None:
    endpoint, seen = cluster
    other = tmp_path / "admin.conf"
    text = credentials["admin.conf"].read_text()
    ours = b64encode(credentials["ca.crt"].read_bytes()).decode()
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", tmp_path / "k"]
    own = ["openssl", "req", "-x509", "-subj", "/CN=authority", "-days", "1", *new, "-out", tmp_path / "c"]
    subprocess.run(own, check=True, capture_output=True)
    other.write_text(text.replace(ours, b64encode((tmp_path / "c").read_bytes()).decode()))
    (said,) = run("api", endpoint, other, "x", "pods", 1, "p")
    assert said["status"] == 0 and "CERTIFICATE_VERIFY_FAILED" in said["error"]
    assert seen.asked == []
