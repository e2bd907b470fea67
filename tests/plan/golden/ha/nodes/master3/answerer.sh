#!/usr/bin/env bash
# master3: a small TLS answerer where the apiserver will be (only for `up --until loadbalancer`).
set -euo pipefail

# The files of a step, and the unit that reads them. What the unit has not taken in yet is remembered on the machine before
# it changes, so that a step which is killed leaves it to its next run; and under /run, because a machine that itself stops
# and starts begins with the files as they are.

# UNIT: whose files are put from here on; "" where nothing that runs reads them.
UNIT=

# put FILE [MODE]: make FILE say what standard input says; a file that says it already is not touched.
put() {
  local file=$1 mode=${2:-0644} new=${1%/*}/.${1##*/}.new text='' old=''
  IFS= read -r -d '' text || :
  [ ! -f "$file" ] || IFS= read -r -d '' old < "$file" || :
  if [ "$text" = "$old" ] && [ "0$(stat -c %a "$file")" = "$mode" ]; then return; fi
  mkdir -p "${file%/*}"
  rm -f "$new"
  (umask 077 && printf '%s' "$text" > "$new")
  chmod "$mode" "$new"
  # Not even a power cut shall leave an empty file. (A container's pages are the host's and outlive it.)
  systemd-detect-virt --quiet --container || sync "$new"
  changing "$file"
  mv "$new" "$file"
}

# changing FILE: a file of UNIT's is about to change.
changing() {
  if [ -z "$UNIT" ] || [ ! -d /run/systemd/system ]; then return; fi
  mkdir -p /run/halab/changed
  echo "$1" >> "/run/halab/changed/$UNIT"
}

# changed [PATH]: has a file of UNIT's (below PATH) changed since UNIT took its files in?
changed() { grep -qs "^${1:-/}" "/run/halab/changed/$UNIT"; }

# reload_units: have systemd read its units again when one of UNIT's files is of that kind.
reload_units() {
  if changed /etc/systemd/system; then systemctl daemon-reload; fi
}

# taken_in: UNIT runs with its files as they are, or will when it is started.
taken_in() { rm -f "/run/halab/changed/$UNIT"; }

# apply restart | reload: UNIT starts with the machine and runs now, with its files as they are. A reload is enough when
# nothing changed in what systemd itself reads.
apply() {
  local how=restart
  systemctl enable --quiet --no-reload "$UNIT"
  reload_units
  if ! changed; then
    how=start
  elif [ "$1" = reload ] && ! changed /etc/systemd/system; then
    how=reload-or-restart
  fi
  # systemctl tells that a unit failed; why it did, its journal tells.
  systemctl "$how" "$UNIT" || { journalctl --unit "$UNIT" --lines 12 --output cat --no-pager >&2; return 1; }
  taken_in
}

UNIT=halab-answerer.service
put /usr/local/lib/halab/answerer 0755 <<'EOF'
#!/usr/bin/env python3
"""Answers where master3's apiserver will be, so that the virtual IP can be studied before there is a cluster.

Says 200 over TLS to an apiserver's health paths and to what haproxy asks for, 404 to all else, and in a header who
answered.
"""

import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket

ADDRESS = ("10.21.0.13", 6443)
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
        self.send_header("X-Answered-By", "master3")
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
EOF

put /etc/systemd/system/halab-answerer.service <<'EOF'
[Unit]
Description=Answers on port 6443 until there is an apiserver
After=network-online.target halab-boot.service
Wants=network-online.target

[Service]
ExecStart=/usr/bin/python3 /usr/local/lib/halab/answerer
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
EOF

folder=/var/lib/halab/answerer
if ! openssl x509 -noout -checkip 10.21.0.100 -in "$folder/tls.crt" 2> /dev/null | grep -q 'does match'; then
  mkdir -p "$folder"
  changing "$folder"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 3650 -subj '/CN=master3' \
    -addext 'subjectAltName=IP:10.21.0.100,IP:10.21.0.13,DNS:master3' \
    -keyout "$folder/tls.key" -out "$folder/tls.crt"
fi
chmod 0600 "$folder/tls.key"

apply restart
