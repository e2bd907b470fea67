#!/usr/bin/env python3
"""Answers where master1's apiserver will be, so that the virtual IP can be studied before there is a cluster.

Says 200 over TLS to an apiserver's health paths and to what haproxy asks for, 404 to all else, and in a header who
answered.
"""

import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket

ADDRESS = ("10.21.0.11", 6443)
CERTIFICATE = "/var/lib/halab/answerer/tls.crt"
KEY = "/var/lib/halab/answerer/tls.key"
SECONDS = 5
#: What haproxy asks every backend for in this lab.
CHECKED = "/readyz"
GOOD = {"/readyz", "/healthz", "/livez", CHECKED}


class Answer(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = SECONDS

    def do_GET(self) -> None:
        good = self.path.partition("?")[0] in GOOD
        body = b"ok" if good else b"not found"
        self.send_response(200 if good else 404)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Answered-By", "master1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Health checks come fifteen times a second: nobody would read them."""


class Server(ThreadingHTTPServer):
    """Shakes hands in each connection's own thread, so that a silent client holds nobody up."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self) -> None:
        super().__init__(ADDRESS, Answer)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(CERTIFICATE, KEY)

    def finish_request(self, request: socket, client_address: tuple[str, int]) -> None:
        request.settimeout(SECONDS)
        with self.context.wrap_socket(request, server_side=True) as tls:
            super().finish_request(tls, client_address)

    def handle_error(self, request: socket, client_address: tuple[str, int]) -> None:
        """A client that leaves in the middle (health checks do) is no event."""


if __name__ == "__main__":
    Server().serve_forever()
