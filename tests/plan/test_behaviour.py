"""What is rendered does what it says: real haproxy, truth check and answerer in a network of their own."""

from __future__ import annotations

from pathlib import Path

import needs
import pytest
from judges import in_namespace
from samples import DEFINITIONS, site

from lab.definition import Definition, load, parse
from lab.plan import render
from lab.topology import derive

#: What a busy machine does now and then: haproxy has closed before the client's connect() looks again, and that fails.
EARLY_RESET = """
#include <errno.h>
#include <sys/socket.h>
int connect(int socket, const struct sockaddr *address, socklen_t length) { errno = ECONNRESET; return -1; }
"""

#: Seconds within which haproxy must have begun to listen, or to take a backend in. One that is made to hang may still
#: close a connection until its last thread stands.
WAIT = """
until_true() { for _ in $(seq 100); do if "$@"; then return 0; fi; sleep 0.05; done; echo "never: $*"; exit 1; }
listens() { [ -n "$(ss -Hnlt "sport = :$1")" ]; }
stands() { ! cat /proc/"$1"/task/*/stat | grep -qv '^[0-9]* (haproxy) T '; }
hang() { kill -STOP "$1"; until_true stands "$1"; }
"""


def put(definition: Definition, node: str, folder: Path) -> None:
    """The files of a node, as they lie in a lab's folder."""
    for path, file in render(derive(definition, driver=""), site(), vagrantfile=False).items():
        if path.startswith(f"nodes/{node}/"):
            (folder / Path(path).name).write_text(file.content)
            (folder / Path(path).name).chmod(file.mode)


@pytest.fixture
def master1(tmp_path: Path) -> Path:
    """The folder with the files of master1."""
    put(load(DEFINITIONS["ha"]), "master1", tmp_path)
    return tmp_path


def test_the_truth_check_tells_alive_from_gone_and_from_hung_without_any_backend(master1: Path) -> None:
    needs.programs("haproxy")
    script = (
        WAIT
        + """
    cd "$1"
    tell() { if "$1/haproxy-alive" 2> /dev/null; then echo "$2 alive"; else echo "$2 not alive"; fi; }
    tell "$1" before:
    haproxy -D -f haproxy.cfg -p /run/haproxy.pid 2> /dev/null
    until_true ./haproxy-alive 2> /dev/null
    tell "$1" running:
    hang "$(cat /run/haproxy.pid)"
    tell "$1" hung:
    kill -CONT "$(cat /run/haproxy.pid)"
    tell "$1" resumed:
    # No backend is there: a client is turned away at once, it does not wait.
    status=0; curl --silent --insecure --max-time 2 https://127.0.0.1:16443/readyz || status=$?
    [ "$status" = 28 ] && echo 'client waits' || echo 'client is turned away'
    kill "$(cat /run/haproxy.pid)"
    until_true bash -c '! kill -0 "$(cat /run/haproxy.pid)" 2> /dev/null'
    tell "$1" stopped:
    """
    )
    done = in_namespace(script, str(master1))
    assert done.stdout.splitlines() == [
        "before: not alive",
        "running: alive",
        "hung: not alive",
        "resumed: alive",
        "client is turned away",
        "stopped: not alive",
    ], done.stderr


def test_a_connection_that_is_closed_before_it_is_seen_open_is_no_refusal(master1: Path) -> None:
    needs.programs("haproxy", "gcc")
    script = (
        WAIT
        + f"""
    cd "$1"
    gcc -shared -fPIC -o reset.so -x c - << 'EOF'
{EARLY_RESET}
EOF
    tell() {{ if LD_PRELOAD=./reset.so ./haproxy-alive 2> said; then echo "$1 alive"; else echo "$1 not alive"; fi; }}
    haproxy -D -f haproxy.cfg -p /run/haproxy.pid 2> /dev/null
    until_true listens 16443
    tell running:
    grep -o 'reset by peer' said | uniq
    kill "$(cat /run/haproxy.pid)"
    until_true bash -c '! kill -0 "$(cat /run/haproxy.pid)" 2> /dev/null'
    tell stopped:
    """
    )
    done = in_namespace(script, str(master1))
    assert done.stdout.splitlines() == ["running: alive", "reset by peer", "stopped: not alive"], done.stderr


def test_the_truth_check_does_not_depend_on_what_backends_do(tmp_path: Path) -> None:
    needs.programs("haproxy", "python3")
    text = "nodes: [{name: m1, role: master}, {name: w1, role: worker}]\nhaproxy: {check: {kind: tcp}}\n"
    put(parse(text), "m1", tmp_path)
    # A backend whose kernel accepts and which never says a word: a client waits, and haproxy is well all the same.
    silent = "import signal, socket; s = socket.create_server(('10.21.0.11', 6443), backlog=100); signal.pause()"
    script = (
        WAIT
        + f"""
    cd "$1"
    ip address add 10.21.0.11/32 dev lo
    python3 -c "{silent}" &
    until_true listens 6443
    haproxy -D -f haproxy.cfg -p /run/haproxy.pid 2> /dev/null
    client() {{
      local status=0
      curl --silent --insecure --max-time 1 https://127.0.0.1:16443/ || status=$?
      [ "$status" = 28 ]
    }}
    until_true client; echo 'client waits'
    if ./haproxy-alive; then echo alive; else echo 'not alive'; fi
    kill %1
    """
    )
    done = in_namespace(script, str(tmp_path))
    assert done.stdout.splitlines() == ["client waits", "alive"], done.stderr


#: Holds as many connections open as haproxy lets in, and one more that it does not; prints how that one fares.
CROWD = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
held = []
for _ in range(int(sys.argv[1])):
    held.append(socket.create_connection(("10.21.0.11", 16443)))
    assert held[-1].recv(1) == b"x", "let in, and served"
with socket.create_connection(("10.21.0.11", 16443)) as late:
    late.settimeout(1)
    try:
        print("one more:", late.recv(1) or "turned away", flush=True)
    except TimeoutError:
        print("one more: waits", flush=True)
sys.stdin.read()
"""

#: An apiserver that greets and then says no more.
GREETER = """
import resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
server, held = socket.create_server(("10.21.0.11", 6443), backlog=4096), []
while True:
    held.append(server.accept()[0])
    held[-1].sendall(b"x")
"""


def test_a_haproxy_with_all_the_connections_that_it_may_have_is_alive(tmp_path: Path) -> None:
    needs.programs("haproxy", "python3")
    text = "nodes: [{name: m1, role: master}, {name: w1, role: worker}]\nhaproxy: {check: {kind: tcp}}\n"
    put(parse(text), "m1", tmp_path)
    (tmp_path / "crowd.py").write_text(CROWD)
    (tmp_path / "greeter.py").write_text(GREETER)
    script = (
        WAIT
        + """
    cd "$1"
    ulimit -n 20000
    ip address add 10.21.0.11/32 dev lo
    python3 greeter.py &
    until_true listens 6443
    haproxy -D -f haproxy.cfg -p /run/haproxy.pid 2> /dev/null
    until_true ./haproxy-alive 2> /dev/null
    coproc crowd { python3 crowd.py 4000; }
    read -r said <&"${crowd[0]}"; echo "$said"
    for _ in 1 2 3; do if ./haproxy-alive; then echo alive; else echo 'not alive'; fi; done
    hang "$(cat /run/haproxy.pid)"
    if ./haproxy-alive; then echo 'hung: alive'; else echo 'hung: not alive'; fi
    kill -KILL "$(cat /run/haproxy.pid)" %1
    """
    )
    done = in_namespace(script, str(tmp_path), seconds=120)
    assert done.stdout.splitlines() == ["one more: waits", "alive", "alive", "alive", "hung: not alive"], done.stderr


@pytest.mark.parametrize(
    ("test", "hung"), [("listening", "alive"), ("answers", "not alive"), ("apiserver", "not alive")]
)
def test_each_script_sees_what_its_name_says(test: str, hung: str, tmp_path: Path) -> None:
    needs.programs("haproxy", "ss", "curl")
    text = (
        "nodes: [{name: m1, role: master, priority: 100}, {name: m2, role: master, priority: 90}]\n"
        f"keepalived: {{detection: {{how: script, weight: 20, test: {test}}}}}\n"
    )
    put(parse(text), "m1", tmp_path)
    script = (
        WAIT
        + """
    cd "$1"
    tell() { if timeout 3 ./haproxy-check 2> /dev/null; then echo "$1 alive"; else echo "$1 not alive"; fi; }
    tell before:
    haproxy -D -f haproxy.cfg -p /run/haproxy.pid 2> /dev/null
    until_true listens 16443
    tell running:
    hang "$(cat /run/haproxy.pid)"
    tell hung:
    """
    )
    done = in_namespace(script, str(tmp_path))
    running = "not alive" if test == "apiserver" else "alive"  # there is no apiserver behind it
    assert done.stdout.splitlines() == ["before: not alive", f"running: {running}", f"hung: {hung}"], done.stderr


def test_an_apiserver_is_asked_for_past_all_clients_that_wait(tmp_path: Path) -> None:
    """A haproxy that has as many clients as it may is well; with no apiserver left it is not, whoever waits."""
    needs.programs("haproxy", "openssl", "curl", "python3")
    text = (
        "nodes: [{name: m1, role: master}, {name: w1, role: worker}]\n"
        "keepalived: {detection: {how: script, weight: 20, test: apiserver}}\n"
        "haproxy: {check: {path: /healthz}}\n"
    )
    put(parse(text), "m1", tmp_path)
    config = (tmp_path / "haproxy.cfg").read_text()
    assert "    maxconn 4000\n" in config
    (tmp_path / "haproxy.cfg").write_text(config.replace("    maxconn 4000\n", "    maxconn 20\n"))
    answerer = (tmp_path / "answerer.py").read_text()
    assert "\nSECONDS = 5\n" in answerer
    (tmp_path / "answerer.py").write_text(answerer.replace("\nSECONDS = 5\n", "\nSECONDS = 60\n"))  # clients stay
    script = (
        WAIT
        + """
    cd "$1"
    mkdir -p /run/lib/halab/answerer /run/lib/haproxy; mount --bind /run/lib /var/lib
    ip address add 10.21.0.11/32 dev lo
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -subj /CN=m1 \
      -keyout /var/lib/halab/answerer/tls.key -out /var/lib/halab/answerer/tls.crt 2> /dev/null
    python3 answerer.py &
    until_true listens 6443
    haproxy -D -f haproxy.cfg -p /run/haproxy.pid 2> /dev/null
    until_true ./haproxy-check
    for _ in $(seq 20); do exec {held}<> /dev/tcp/127.0.0.1/16443; done
    waits() {
      local status=0
      curl --silent --insecure --max-time 1 --output answer https://127.0.0.1:16443/healthz || status=$?
      [ "$status" = 28 ]
    }
    until_true waits; echo 'client waits'
    for _ in 1 2 3; do if ./haproxy-check; then echo alive; else echo 'not alive'; fi; done
    kill %1
    fails() { ! ./haproxy-check; }
    until_true fails; echo 'no apiserver: not alive'
    """
    )
    done = in_namespace(script, str(tmp_path))
    expected = ["client waits", "alive", "alive", "alive", "no apiserver: not alive"]
    assert done.stdout.splitlines() == expected, done.stderr


def test_the_answerer_answers_through_haproxy_and_haproxy_leaves_out_who_does_not(master1: Path) -> None:
    needs.programs("haproxy", "openssl", "curl", "python3")
    make_certificate = next(
        text
        for text in (master1 / "answerer.sh").read_text().split("\n\n")
        if text.startswith("folder=/var/lib/halab/answerer")
    )
    told = "changing() { made=yes; }"
    (master1 / "certificate.sh").write_text(f'set -euo pipefail\n{told}\n{make_certificate}\necho "${{made:-no}}"\n')
    script = (
        WAIT
        + """
    cd "$1"
    mkdir -p /run/lib; mount --bind /run/lib /var/lib
    mkdir /var/lib/haproxy
    ip address add 10.21.0.11/32 dev lo
    echo "certificate made: $(bash certificate.sh)"
    echo "and made again: $(bash certificate.sh)"
    echo "key: $(stat -c %a /var/lib/halab/answerer/tls.key)"
    python3 answerer.py &
    haproxy -D -f haproxy.cfg -p /run/haproxy.pid 2> /dev/null
    ask() { curl --silent --insecure --max-time 2 --dump-header - "https://127.0.0.1:16443$1" | tr -d '\\r'; }
    good() { ask /readyz | grep -q '^HTTP/1.1 200'; }
    until_true good
    ask /readyz | grep -E '^(HTTP|X-)'
    ask /api | grep -E '^HTTP'
    for _ in $(seq 20); do good && echo good; done | sort | uniq -c | tr -s ' '
    # Somebody who connects and says nothing holds up nobody else.
    exec 5<> /dev/tcp/10.21.0.11/6443
    good && echo 'still answers'
    kill %1
    """
    )
    done = in_namespace(script, str(master1))
    assert done.stdout.splitlines() == [
        "certificate made: yes",
        "and made again: no",
        "key: 600",
        "HTTP/1.1 200 OK",
        "X-Answered-By: master1",
        "HTTP/1.1 404 Not Found",
        " 20 good",
        "still answers",
    ], done.stderr


@pytest.mark.parametrize("path", ["/my/own/check", "/livez/etcd?verbose&timeout=1s", "/a(b)"])
def test_the_answerer_answers_what_haproxy_asks_for_in_this_lab(path: str, tmp_path: Path) -> None:
    needs.programs("haproxy", "openssl", "python3")
    text = f'nodes: [{{name: m1, role: master}}]\nhaproxy: {{check: {{path: "{path}"}}}}\n'
    for name, file in render(derive(parse(text), driver=""), site(), vagrantfile=False).items():
        if name.startswith("nodes/m1/"):
            (tmp_path / Path(name).name).write_text(file.content)
    script = (
        WAIT
        + """
    cd "$1"
    mkdir -p /run/lib/halab/answerer /run/lib/haproxy; mount --bind /run/lib /var/lib
    ip address add 10.21.0.11/32 dev lo
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -subj /CN=m1 \
      -keyout /var/lib/halab/answerer/tls.key -out /var/lib/halab/answerer/tls.crt 2> /dev/null
    python3 answerer.py &
    until_true listens 6443
    haproxy -D -f haproxy.cfg -p /run/haproxy.pid 2> /dev/null
    checked() {
      python3 - << 'EOF'
import csv, socket
s = socket.socket(socket.AF_UNIX); s.connect("/run/haproxy/admin.sock"); s.sendall(b"show stat\\n")
rows = csv.DictReader(s.makefile(encoding="utf-8"))
row = next(row for row in rows if row["svname"] == "m1")
# A backend counts as up until it was asked: only an answer to a check says so.
raise SystemExit(not (row["check_status"] == "L7OK" and row["status"] == "UP"))
EOF
    }
    until_true checked; echo up
    ask() { curl --silent --insecure --output /dev/null --write-out '%{http_code}\\n' "https://10.21.0.11:6443$1"; }
    ask /readyz; ask /other
    kill %1
    """
    )
    done = in_namespace(script, str(tmp_path))
    assert done.stdout.splitlines() == ["up", "200", "404"], done.stderr


#: master2, and on its network a stranger who says what master1 would say, under an address that nobody knows.
STRANGER = """
cd "$1"
ip link delete eth0
ip netns add stranger
ip link add eth0 type veth peer name eth0 netns stranger
ip address add 10.21.0.12/24 dev eth0
ip link set eth0 up
ip -n stranger address add 10.21.0.66/24 dev eth0
ip -n stranger link set eth0 up
echo 0 > /run/halab/haproxy-down
guard() { keepalived --vrrp --dont-fork --log-console --use-file "$1" --pid "/run/$1.pid" --vrrp_pid "/run/$1.vrrp"; }
holds() { [[ $(ip "$@" -o address show dev eth0) = *" 10.21.0.100/32 "* ]]; }
guard master2.conf > master2.log 2>&1 &
until_true holds
export -f guard
ip netns exec stranger bash -c 'guard stranger.conf' > stranger.log 2>&1 &
until_true holds -n stranger
# An advertisement comes every 0.2 s: ten of them.
kept=yes
for _ in $(seq 40); do holds || { kept=no; break; }; sleep 0.05; done
echo "kept: $kept"
kill %1 %2
wait
"""


@needs.root
@pytest.mark.parametrize(("heeds", "kept"), [("peers", "yes"), ("anybody", "no")])
def test_a_master_heeds_its_peers_and_nobody_else(heeds: str, kept: str, tmp_path: Path) -> None:
    """Whoever reaches a master's network could have it give the VIP up, and take its place."""
    needs.programs("keepalived", "ip")
    definition = (
        "nodes: [{name: m1, role: master}, {name: m2, role: master}]\nkeepalived: {hang_check: {enabled: false}}\n"
    )
    files = render(derive(parse(definition), driver=""), site(), vagrantfile=False)
    one, two = (files[f"nodes/{name}/keepalived.conf"].content for name in ("m1", "m2"))
    stranger = one.replace("10.21.0.11", "10.21.0.66")
    assert stranger != one
    if heeds == "anybody":  # so the stranger is heard at all
        two = two.replace("    check_unicast_src\n", "")
    (tmp_path / "master2.conf").write_text(two)
    (tmp_path / "stranger.conf").write_text(stranger)
    done = in_namespace(WAIT + STRANGER, str(tmp_path))
    assert done.stdout.splitlines() == [f"kept: {kept}"], (tmp_path / "master2.log").read_text() + done.stderr
