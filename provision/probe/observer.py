# Runs on a machine of the lab (python3, standard library only) and prints one JSON object: what this machine knows.
# Arguments: the virtual IP, the machine's functions (words of lab.model.functions), its own address, and the units that
# steps start.
import hashlib
import http.client
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from stats import servers

VIP, FUNCTIONS, ADDRESS, *UNITS = sys.argv[1:]
PKI = "/etc/kubernetes/pki"
HALAB = Path("/var/lib/halab")
SECONDS = 2.0

#: Seconds. A kubelet renews its lease every 10; what the API keeps of a node whose lease is older than this may be out
#: of date: it goes on calling a node Ready for 40 after its kubelet has died (--node-monitor-grace-period).
KUBELET_SECONDS = 30.0


def units(*names: str) -> dict[str, str]:
    """Each systemd unit's active state."""
    shown = subprocess.run(["systemctl", "is-active", *names], capture_output=True, text=True)
    return dict(zip(names, shown.stdout.split(), strict=False))


def addresses() -> list[str]:
    """Every IPv4 address of this machine."""
    links = json.loads(subprocess.run(["ip", "-j", "-4", "addr"], capture_output=True, text=True, check=True).stdout)
    return [info["local"] for link in links for info in link["addr_info"]]


def backends() -> dict[str, str]:
    """Name to status of every server behind this machine's haproxy, by its statistics socket."""
    return {row["svname"]: row["status"].split()[0] for row in servers("/run/haproxy/admin.sock", SECONDS)}


def ask(host: str, port: int, path: str, certificate: str, body: str | None = None) -> Any:
    """A local TLS server's JSON answer to a request with a client certificate; None when it did not answer 200."""
    context = ssl._create_unverified_context()
    context.load_cert_chain(f"{PKI}/{certificate}.crt", f"{PKI}/{certificate}.key")
    connection = http.client.HTTPSConnection(host, port, context=context, timeout=SECONDS)
    try:
        connection.request("POST" if body else "GET", path, body=body)
        answer = connection.getresponse()
        text = answer.read()
        return json.loads(text) if answer.status == 200 and text[:1] in b"{[" else None
    finally:
        connection.close()


def lease_items(namespace: str) -> Any:
    """The leases of a namespace as the local apiserver keeps them."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    return ask(ADDRESS, 6443, path, "apiserver-kubelet-client")["items"]


def age(lease: dict[str, Any], now: datetime) -> float:
    """Seconds since a lease was renewed; one that never was is older than any."""
    renewed = lease["spec"].get("renewTime")
    return (now - datetime.fromisoformat(renewed.replace("Z", "+00:00"))).total_seconds() if renewed else float("inf")


def holders(items: list[dict[str, Any]], now: datetime) -> dict[str, str]:
    """Who holds each lease; nobody ("") holds one that ran out, whatever name is left in it."""
    return {
        item["metadata"]["name"]: item["spec"].get("holderIdentity") or ""
        if age(item, now) <= item["spec"].get("leaseDurationSeconds", 0)
        else ""
        for item in items
    }


def nodes() -> list[dict[str, Any]]:
    """Every node as the local apiserver shows it; one whose kubelet has gone quiet is not Ready."""
    items = ask(ADDRESS, 6443, "/api/v1/nodes", "apiserver-kubelet-client")["items"]
    now = datetime.now(timezone.utc)  # noqa: UP017 — a machine's Python may be older than 3.11
    fresh = {item["metadata"]["name"] for item in lease_items("kube-node-lease") if age(item, now) <= KUBELET_SECONDS}
    return [
        {
            "name": item["metadata"]["name"],
            "ready": item["metadata"]["name"] in fresh
            and any(c["type"] == "Ready" and c["status"] == "True" for c in item["status"].get("conditions", [])),
            "address": next(
                (a["address"] for a in item["status"].get("addresses", []) if a["type"] == "InternalIP"), ""
            ),
            "version": item["status"]["nodeInfo"]["kubeletVersion"],
            "uid": item["metadata"]["uid"],
        }
        for item in items
    ]


def leases() -> dict[str, str]:
    """Who holds each lease of the control plane at this moment."""
    return holders(lease_items("kube-system"), datetime.now(timezone.utc))  # noqa: UP017


def etcd() -> dict[str, Any]:
    """The members as this machine's etcd knows them, and its own view of who leads."""
    certificate = "etcd/healthcheck-client"
    members = ask("127.0.0.1", 2379, "/v3/cluster/member/list", certificate, "{}")["members"]
    status = ask("127.0.0.1", 2379, "/v3/maintenance/status", certificate, "{}")
    return {
        "id": status["header"]["member_id"],
        "leader": status.get("leader", ""),
        "members": [
            {"id": member["ID"], "name": member.get("name", ""), "peer_urls": member.get("peerURLs", [])}
            for member in members
        ],
    }


def attempt(found: dict[str, Any], name: str, look: Callable[..., Any], *args: str) -> None:
    """Put what ``look`` finds under ``name``; what went wrong is said too, not lost."""
    try:
        found[name] = look(*args)
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException, subprocess.SubprocessError) as error:
        found.setdefault("errors", {})[name] = f"{type(error).__name__}: {error}"


def steps() -> dict[str, str]:
    """Each step that this machine has been through, with the digest of its text."""
    folder = HALAB / "steps"
    return {file.name: file.read_text().strip() for file in folder.iterdir()} if folder.is_dir() else {}


def node_uid() -> str:
    """The UID of the Node that the cluster made of this machine when it joined; "" where none was written down."""
    mark = HALAB / "joined"
    return mark.read_text().strip() if mark.exists() else ""


def authority() -> str:
    """The digest of the CA certificate of the cluster that this machine belongs to, or did; "" without one."""
    file = Path(PKI) / "ca.crt"
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read_text())).hexdigest() if file.exists() else ""


def main() -> None:
    """Look at everything, then print it."""
    found: dict[str, Any] = {
        "hostname": socket.gethostname(),
        "joined": (HALAB / "joined").exists(),
        "etcd_data": Path("/var/lib/etcd/member").is_dir(),
        "kubeadm_traces": Path("/var/lib/halab/began").exists(),
        "steps": steps(),
    }
    attempt(found, "units", units, "containerd", "kubelet", "halab-kubeadm", *UNITS)
    attempt(found, "addresses", addresses)
    attempt(found, "node_uid", node_uid)
    attempt(found, "authority", authority)
    if "load-balancer" in FUNCTIONS.split():
        attempt(found, "backends", backends)
    if "control-plane" in FUNCTIONS.split() and found["joined"]:
        attempt(found, "nodes", nodes)
        attempt(found, "leases", leases)
    if "etcd" in FUNCTIONS.split() and found["joined"]:
        attempt(found, "etcd", etcd)
    json.dump(found, sys.stdout)


main()
