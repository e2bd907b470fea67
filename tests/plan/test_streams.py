"""Streams through a real haproxy (watches, logs -f): what ends them, and what does not. Two networks and a cable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import needs
from judges import in_namespace
from samples import site

from lab.definition import parse
from lab.plan import render
from lab.topology import derive

#: An apiserver: says over TLS whether it is ready (as long as the file is there), and greets whoever watches.
APISERVER = """
import os, ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        watched = self.path == "/watch"
        self.send_response(200 if watched or os.path.exists("/run/ready") else 500)
        self.end_headers()
        while watched and self.rfile.read(1):
            self.wfile.write(b"!")
    def log_message(self, *words):
        pass
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("tls.crt", "tls.key")
class Server(ThreadingHTTPServer):
    daemon_threads = True
    def finish_request(self, request, address):
        super().finish_request(context.wrap_socket(request, server_side=True), address)
    def handle_error(self, *words):
        pass
Server(("10.21.0.12", 6443), Api).serve_forever()
"""

#: A watch: silent, or with a word every second. Says when it has begun and, in seconds from a signal, when it ended.
WATCH = """
import signal, socket, ssl, sys, time
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
stream = context.wrap_socket(socket.create_connection(("127.0.0.1", 16443)))
stream.sendall(b"GET /watch HTTP/1.0\\r\\n\\r\\n")
assert b" 200 " in stream.recv(4096)
began = []
signal.signal(signal.SIGUSR1, lambda number, frame: began.append(time.monotonic()))
stream.settimeout(1)
print("begun", flush=True)
while not began or time.monotonic() < began[0] + float(sys.argv[2]):
    try:
        if sys.argv[1] == "talks":
            stream.sendall(b"?")
        if not stream.recv(4096):
            break
        time.sleep(0.2)  # the pace of one who talks
    except TimeoutError:
        pass
    except OSError:
        break
else:
    print("goes on", flush=True)
    raise SystemExit
print(f"ended {time.monotonic() - began[0]:.1f}" if began else "ended before anything was done", flush=True)
"""

#: haproxy here, the apiserver at the other end of a cable; $2 is what is done to it, $3 how long watches are watched.
STREAMS = """
cd "$1"
until_true() { for _ in $(seq 200); do if "$@"; then return 0; fi; sleep 0.05; done; echo "never: $*"; exit 1; }
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -subj /CN=m2 -keyout tls.key -out tls.crt \
  2> /dev/null
ip netns add far
ip link del eth0; ip link add eth0 type veth peer name eth0 netns far
ip address add 10.21.0.11/24 dev eth0; ip link set eth0 up
ip -n far address add 10.21.0.12/24 dev eth0; ip -n far link set eth0 up
touch /run/ready
ip netns exec far python3 apiserver.py & apiserver=$!
haproxy -D -f haproxy.cfg -p /run/haproxy.pid 2> /dev/null
good() { curl --silent --fail --insecure --max-time 1 --output /dev/null https://127.0.0.1:16443/readyz; }
# 22 is a bad answer (curl(1)); without a backend that counts as well, haproxy closes.
out() { local status=0; good || status=$?; [ "$status" != 0 ] && [ "$status" != 22 ]; }
until_true good
coproc silent { exec python3 watch.py silent "$3"; }
exec 5<&"${silent[0]}"; first=$silent_PID
exec 6< <(exec python3 watch.py talks "$3"); second=$!
read -r -u 5 said; read -r -u 6 said
case $2 in
  vanish) ip -n far link set eth0 down ;;
  election) rm /run/ready ;;
esac
kill -USR1 "$first" "$second"
until_true out
case $2 in
  election) touch /run/ready; until_true good ;;
esac
read -r -u 5 said; echo "silent: $said"
read -r -u 6 said; echo "talks: $said"
kill "$apiserver" "$(cat /run/haproxy.pid)"
"""


def streams(folder: Path, deed: str, seconds: float) -> Mapping[str, str]:
    """How two streams through the default load balancer fared for so many seconds after the deed."""
    needs.programs("haproxy", "openssl", "curl", "python3")
    definition = parse("nodes: [{name: m1, role: master}, {name: m2, role: master}, {name: w1, role: worker}]")
    files = render(derive(definition, ""), site(), vagrantfile=False)
    (folder / "haproxy.cfg").write_text(files["nodes/m1/haproxy.cfg"].content)
    (folder / "apiserver.py").write_text(APISERVER)
    (folder / "watch.py").write_text(WATCH)
    done = in_namespace(STREAMS, str(folder), deed, str(seconds), seconds=seconds + 60)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


def test_a_stream_to_a_machine_that_vanished_ends_within_seconds(tmp_path: Path) -> None:
    fared = streams(tmp_path, "vanish", 20)
    assert set(fared) == {"silent", "talks"}
    for said in fared.values():
        assert said.startswith("ended "), fared
        assert 4.0 <= float(said.split()[1]) <= 10.0, fared


def test_an_election_of_etcd_ends_no_stream(tmp_path: Path) -> None:
    assert streams(tmp_path, "election", 12) == {"silent": "goes on", "talks": "goes on"}
