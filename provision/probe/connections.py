"""The client's probe: an open loop of fresh TLS connections to one endpoint, one JSON line for each.

    python3 -u - HOST PORT RATE LIFETIME [PATH [PATIENCE]]

RATE connections a second are started by a fixed schedule, whatever became of the earlier ones, and each has PATIENCE
seconds to the end of handshake and answer. This program only records; what is too slow or a failure is judged
elsewhere, later. It ends after LIFETIME seconds, or at once when nobody reads its lines any more.

Lines: {"kind": "probe-start", …}, then {"kind": "probe", "t": start on this machine's clock in seconds, "latency": s,
"late": s behind the schedule, "outcome": "ok" | "http NNN" | "refused" | "reset" | "closed" | "timeout …" | "tls …"},
and {"kind": "probe-skipped", "t", "count"} when this machine stood still for so long that the schedule was given up.

Only the standard library (Python 3.9 or later): it is sent over ssh and run as it is.
"""

import errno
import gc
import json
import os
import selectors
import socket
import ssl
import sys
import time
from collections import deque
from collections.abc import Generator

#: Seconds behind schedule after which the missed connections are given up instead of started all at once.
GIVE_UP = 1.0

Waiting = tuple[int, int]
Steps = Generator[Waiting, None, str]

REFUSED = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset", errno.EHOSTUNREACH: "unreachable"}


def named(error: int | None) -> str:
    """A short word for a socket's error number."""
    return REFUSED.get(error or 0) or errno.errorcode.get(error or 0, f"error {error}").lower()


class Attempt:
    """One connection under way. ``answered`` is when its answer was complete, 0.0 while it is not."""

    __slots__ = ("answered", "deadline", "late", "outcome", "registered", "stage", "started", "steps", "wall")

    def __init__(self, late: float, patience: float) -> None:
        self.wall = time.time()
        self.started = time.monotonic()
        self.deadline = self.started + patience
        self.late = late
        self.stage = "connect"
        self.answered = 0.0
        self.outcome = ""
        self.registered: Waiting | None = None
        self.steps: Steps


def exchange(address: tuple[str, int], context: ssl.SSLContext, request: bytes, attempt: Attempt) -> Steps:
    """One connection as steps: yields what it waits for (descriptor, event), returns the outcome."""
    outcome = ""
    plain = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    plain.setblocking(False)
    try:
        status = plain.connect_ex(address)
        if status == errno.EINPROGRESS:
            yield plain.fileno(), selectors.EVENT_WRITE
            status = plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if status:
            return named(status)
        attempt.stage = "handshake"
        with context.wrap_socket(plain, server_hostname=address[0], do_handshake_on_connect=False) as tls:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    yield tls.fileno(), selectors.EVENT_READ
                except ssl.SSLWantWriteError:
                    yield tls.fileno(), selectors.EVENT_WRITE
            attempt.stage = "answer"
            tls.send(request)
            answer = b""
            while True:
                try:
                    piece = tls.recv(4096)
                except ssl.SSLWantReadError:
                    yield tls.fileno(), selectors.EVENT_READ
                    continue
                answer += piece
                # The server is left to close first: load balancers log each client that leaves early as an error.
                if not outcome and (not piece or complete(answer)):
                    outcome = meaning(answer)
                    attempt.answered = time.monotonic()
                    attempt.outcome = outcome
                if not piece:
                    return outcome
    except OSError as error:
        return outcome or failure(error)
    finally:
        plain.close()


def failure(error: OSError) -> str:
    """A short word for what broke a connection."""
    if isinstance(error, ssl.SSLEOFError):
        return "closed"
    if isinstance(error, ssl.SSLError):
        return "tls " + (error.reason or "error").lower()
    return named(error.errno)


def meaning(answer: bytes) -> str:
    """The outcome that an answer stands for."""
    words = answer.split(b" ", 2)
    if len(words) < 3 or not words[0].startswith(b"HTTP/"):
        return "closed"
    return "ok" if words[1] == b"200" else "http " + words[1].decode("ascii", "replace")


def complete(answer: bytes) -> bool:
    """Has the whole answer come, by its own Content-Length? (Without one, only the end of the connection tells.)"""
    head, blank, body = answer.partition(b"\r\n\r\n")
    if not blank:
        return False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return len(body) >= int(value)
    return False


class Probe:
    """The loop: starts attempts by the clock, resumes those that can go on, gives up those whose time is over."""

    def __init__(self, address: tuple[str, int], rate: float, path: str, patience: float) -> None:
        self.address = address
        self.rate = rate
        self.patience = patience
        self.request = (
            f"GET {path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n"
            "User-Agent: halab-probe\r\nConnection: close\r\n\r\n"
        ).encode()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # The probe measures whether an answer comes, and it has no business with the cluster's authority.
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self.selector = selectors.DefaultSelector()
        self.open: deque[Attempt] = deque()

    def run(self, lifetime: float) -> None:
        """Go on for ``lifetime`` seconds."""
        begin = time.monotonic()
        number = 0
        while True:
            now = time.monotonic()
            if now - begin > lifetime:
                return
            due = begin + number / self.rate
            if now - due > GIVE_UP:
                missed = int((now - due) * self.rate)
                number += missed
                emit({"kind": "probe-skipped", "t": time.time(), "count": missed})
                continue
            if now >= due:
                number += 1
                self.begin(now - due)
                continue
            self.expire(now)
            limit = min([due, *(a.deadline for a in list(self.open)[:1])])
            self.hear(max(0.0, limit - time.monotonic()))

    def begin(self, late: float) -> None:
        """Start one more connection."""
        attempt = Attempt(late, self.patience)
        attempt.steps = exchange(self.address, self.context, self.request, attempt)
        self.open.append(attempt)
        self.resume(attempt)

    def hear(self, seconds: float) -> None:
        """Wait for at most so long, and let those go on that can."""
        for key, _ in self.selector.select(seconds):
            self.resume(key.data)

    def resume(self, attempt: Attempt) -> None:
        """Let a connection go on as far as it can."""
        try:
            wanted = next(attempt.steps)
        except StopIteration as end:
            self.finish(attempt, end.value)
            return
        if wanted != attempt.registered:
            self.forget(attempt)
            self.selector.register(wanted[0], wanted[1], attempt)
            attempt.registered = wanted

    def forget(self, attempt: Attempt) -> None:
        """Stop waiting for a connection's socket."""
        if attempt.registered is not None:
            self.selector.unregister(attempt.registered[0])
            attempt.registered = None

    def finish(self, attempt: Attempt, outcome: str) -> None:
        """Record a connection's end."""
        latency = (attempt.answered or time.monotonic()) - attempt.started
        self.forget(attempt)
        self.open.remove(attempt)
        emit(
            {
                "kind": "probe",
                "t": round(attempt.wall, 6),
                "latency": round(latency, 6),
                "late": round(attempt.late, 6),
                "outcome": outcome,
            }
        )

    def expire(self, now: float) -> None:
        """Give up the connections whose time is over (the deque is in order of their deadlines)."""
        if self.open and self.open[0].deadline <= now:
            self.hear(0.0)  # what came while this machine itself stood still did come
        while self.open and self.open[0].deadline <= now:
            attempt = self.open[0]
            self.forget(attempt)
            attempt.steps.close()
            self.finish(attempt, attempt.outcome or "timeout at " + attempt.stage)


def emit(record: dict[str, object]) -> None:
    """One line; when nobody reads any more, the probe has no reason to go on."""
    try:
        sys.stdout.write(json.dumps(record) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)  # an orderly exit would only try to flush the same pipe again


def preferred() -> str:
    """Come before the load that is measured: real-time where the kernel lets us, else the best niceness."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
        return "fifo"
    except (OSError, AttributeError):
        pass  # real-time needs a share of its own in some control groups; niceness is the next best
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        return "nice"
    except OSError:
        return "none"


def main(host: str, port: str, rate: str, lifetime: str, path: str = "/readyz", patience: str = "1") -> None:
    """Read the arguments and probe."""
    probe = Probe((host, int(port)), float(rate), path, float(patience))
    gc.freeze()
    emit({"kind": "probe-start", "t": time.time(), "rate": float(rate), "priority": preferred()})
    probe.run(float(lifetime))


if __name__ == "__main__":
    main(*sys.argv[1:])
