"""A client of the cluster's API through the VIP, run on a master, whose own administrator's credential it uses.

    python3 -u - ENDPOINT KUBECONFIG AGENT pods COUNT PREFIX       create pods that stay unscheduled, one a connection
    python3 -u - ENDPOINT KUBECONFIG AGENT pod NAME LIMIT          create one pod and watch it until it runs
    python3 -u - ENDPOINT KUBECONFIG AGENT lease NAME LIFETIME     follow who holds a lease in kube-system
    python3 -u - ENDPOINT KUBECONFIG AGENT clean                   delete all pods that this program ever made

Every request opens a fresh TLS connection to ENDPOINT and verifies the cluster's authority. The credential never
leaves the machine's memory: it is no argument, is printed nowhere and written to no file.
Lines are JSON, each with "t", the time on this machine's clock in seconds.

Only the standard library (Python 3.9 or later): it is sent over ssh and run as it is.
"""

import base64
import http.client
import json
import os
import re
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from typing import Any

#: All pods made here carry it, so that they can be found and removed, and nothing else is.
LABEL = "halab-verify"

PODS = "/api/v1/namespaces/default/pods"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"

#: Seconds that one request may take, and for which a watch lasts. One that is silent for SILENCE is opened afresh, as
#: nothing else tells a broken connection from a quiet one; a leader renews its lease every 2 s.
REQUEST = 2.0
WATCH = 10.0
SILENCE = 3.0

#: Seconds for deleting all pods: they go one after another, each by etcd's own pace.
CLEAN = 40.0

#: Seconds between two attempts while the API cannot be reached.
AGAIN = 0.2


def pause() -> None:
    """Wait a little before the next attempt. Whoever calls it has a deadline, and says at the end what it last saw."""
    time.sleep(AGAIN)  # an API that comes back sends no event


def emit(**record: object) -> None:
    """One line; when nobody reads any more, there is no reason to go on."""
    try:
        sys.stdout.write(json.dumps({"t": time.time(), **record}) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)  # an orderly exit would only try to flush the same pipe again


def trusted(kubeconfig: str) -> ssl.SSLContext:
    """A TLS context out of a kubeconfig's embedded authority, certificate and key."""
    with open(kubeconfig, encoding="ascii") as file:
        text = file.read()

    def embedded(field: str) -> bytes:
        match = re.search(rf"^\s*{field}:\s*(\S+)\s*$", text, re.MULTILINE)
        if match is None:
            raise SystemExit(f"{kubeconfig} holds no {field}")
        return base64.b64decode(match.group(1))

    context = ssl.create_default_context(cadata=embedded("certificate-authority-data").decode("ascii"))
    # OpenSSL takes the key from a file only: one that exists in memory alone, and for this process alone.
    held = os.memfd_create("credential")
    try:
        os.write(held, embedded("client-certificate-data") + embedded("client-key-data"))
        context.load_cert_chain(f"/proc/self/fd/{held}")
    finally:
        os.close(held)
    return context


class Api:
    """Requests to the API server, each over a connection of its own."""

    def __init__(self, endpoint: str, kubeconfig: str, agent: str) -> None:
        self.endpoint = endpoint
        self.context = trusted(kubeconfig)
        self.headers = {"User-Agent": agent, "Accept": "application/json", "Content-Type": "application/json"}

    def connect(self, timeout: float) -> http.client.HTTPSConnection:
        """A fresh connection."""
        return http.client.HTTPSConnection(self.endpoint, timeout=timeout, context=self.context)

    def request(
        self, method: str, path: str, body: dict[str, Any] | None = None, timeout: float = REQUEST
    ) -> tuple[int, dict[str, Any]]:
        """Status and answer; raises OSError or HTTPException when there is none."""
        connection = self.connect(timeout)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, self.headers)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text.startswith(b"{") else {}
        finally:
            connection.close()

    def watch(self, path: str, name: str, until: float) -> Iterator[tuple[dict[str, Any], bool]]:
        """Every state of one object from now until the deadline; tries again by itself whatever goes wrong.

        With each state: was it *found* when the watch was opened (and came about at any time since the one before),
        or did it come about just now? What goes wrong is told as trouble.
        """
        while time.monotonic() < until:
            connection = self.connect(REQUEST)
            try:
                for number, event in enumerate(self._events(connection, path, name, until)):
                    if event["type"] == "DELETED":
                        emit(kind="trouble", what=f"{name} was deleted")
                    elif event["type"] != "BOOKMARK":
                        yield event["object"], number == 0
                    if time.monotonic() >= until:
                        return
            except (OSError, http.client.HTTPException, ValueError) as error:
                emit(kind="trouble", what=f"watch of {name}: {error or type(error).__name__}")
                pause()
            finally:
                connection.close()

    def _events(
        self, connection: http.client.HTTPSConnection, path: str, name: str, until: float
    ) -> Iterator[dict[str, Any]]:
        """One watch's events until it ends or falls silent.

        Raises OSError or HTTPException when there is none, ValueError for what is no event, a refusal included.
        """
        query = f"?watch=1&fieldSelector=metadata.name%3D{name}&timeoutSeconds={WATCH:.0f}"
        connection.request("GET", path + query, None, self.headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise ValueError(f"status {answer.status} {message(answer.read())}".rstrip())
        if connection.sock is not None:
            connection.sock.settimeout(min(SILENCE, max(0.1, until - time.monotonic())))
        while True:
            try:
                line = answer.readline()
            except socket.timeout:  # noqa: UP041 - Python 3.9 has not yet made the two one
                return  # nothing happened, or nobody is there any more: the next watch tells
            if not line:
                return
            event = json.loads(line)
            if not isinstance(event, dict) or "type" not in event or "object" not in event:
                raise ValueError(f"no event: {line.decode('utf-8', 'replace').strip()[:200]}")
            if event["type"] == "ERROR":
                raise ValueError(message(json.dumps(event["object"]).encode()))
            yield event


def message(answer: bytes) -> str:
    """Why the API refused: its Status' message, or what it said instead."""
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        return answer.decode("utf-8", "replace").strip()[:200]


def pod(name: str, scheduled: bool) -> dict[str, Any]:
    """A pod that sleeps; one that no scheduler feels responsible for costs the cluster no more than its record."""
    spec: dict[str, Any] = {
        "containers": [
            {
                "name": "sleep",
                "image": "lab.local/busybox:1",
                "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", "3600"],
            }
        ],
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
    }
    if not scheduled:
        spec["schedulerName"] = "halab-none"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": LABEL}},
        "spec": spec,
    }


def create_many(api: Api, count: int, prefix: str) -> None:
    """Create ``count`` pods, each over a fresh connection, and say of each what the API answered."""
    for number in range(count):
        name = f"{prefix}-{number}"
        began = time.monotonic()
        try:
            status, _ = api.request("POST", PODS, pod(name, scheduled=False))
            emit(kind="request", pod=name, status=status, latency=round(time.monotonic() - began, 6))
        except (OSError, http.client.HTTPException) as error:
            emit(kind="request", pod=name, status=0, error=str(error) or type(error).__name__)


def create_one(api: Api, name: str, limit: float) -> None:
    """Create a pod, trying again until it is there, and follow it until it runs or ``limit`` seconds are over."""
    until = time.monotonic() + limit
    while True:
        try:
            status, answer = api.request("POST", PODS, pod(name, scheduled=True))
            if status in (201, 409):  # 409: an earlier try did arrive, only its answer got lost
                emit(kind="pod", pod=name, event="created")
                break
            emit(kind="trouble", what=f"creating {name}: status {status} {answer.get('message', '')}")
        except (OSError, http.client.HTTPException) as error:
            emit(kind="trouble", what=f"creating {name}: {error or type(error).__name__}")
        if time.monotonic() > until:
            return
        pause()
    told = ""
    for state, _ in api.watch(PODS, name, until):
        node, phase = state["spec"].get("nodeName", ""), state["status"].get("phase", "")
        event = "running" if phase == "Running" else "scheduled" if node else ""
        if event and event != told:
            told = event
            emit(kind="pod", pod=name, event=event, node=node)
        if event == "running":
            return


def follow_lease(api: Api, name: str, lifetime: float) -> None:
    """Say who holds a lease, at first and whenever that changes; and each time that the same one is seen again.

    What was not said for a while was not seen: a lease that nobody renews is looked at every SILENCE seconds.
    """
    holder = None
    for state, found in api.watch(LEASES, name, time.monotonic() + lifetime):
        now = state["spec"].get("holderIdentity") or ""
        kind = "lease" if now != holder else "lease-seen"
        holder = now
        emit(kind=kind, lease=name, holder=holder, found=found)


def clean(api: Api) -> None:
    """Delete every pod that this program made, and wait until they are gone; goes on while the API is silent."""
    until = time.monotonic() + CLEAN
    ours = PODS + "?labelSelector=app%3D" + LABEL
    method, count, trouble = "DELETE", -1, ""
    while time.monotonic() < until:
        try:
            status, answer = api.request(method, ours, timeout=CLEAN / 2)
        except (OSError, http.client.HTTPException) as error:
            trouble = str(error) or type(error).__name__
        else:
            if status != 200:
                raise SystemExit(f"deleting the test pods: status {status} {answer.get('message', '')}")
            left = len(answer.get("items", []))
            count = max(count, left)
            if method == "GET" and left == 0:
                emit(kind="cleaned", count=count)
                return
            method, trouble = "GET", f"{left} are still there"
        pause()
    raise SystemExit(f"deleting the test pods: {trouble} after {CLEAN:.0f} s")


def main(endpoint: str, kubeconfig: str, agent: str, what: str, *rest: str) -> None:
    """Read the arguments and do what is asked."""
    api = Api(endpoint, kubeconfig, agent)
    if what == "pods":
        create_many(api, int(rest[0]), rest[1])
    elif what == "pod":
        create_one(api, rest[0], float(rest[1]))
    elif what == "lease":
        follow_lease(api, rest[0], float(rest[1]))
    elif what == "clean":
        clean(api)
    else:
        raise SystemExit("unknown: " + what)


if __name__ == "__main__":
    main(*sys.argv[1:])
