"""What makes the cluster forget a machine, over an etcd and a kubectl that are played here (live tests: the real)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from lab.provisioning.membership import FORGET

#: As kubeadm v1.20.2 wrote it, with a name that YAML wants in quotes and one that another name begins with.
STATUS = """\
apiEndpoints:
  "0":
    advertiseAddress: 10.21.0.13
    bindPort: 6443
  master1:
    advertiseAddress: 10.21.0.11
    bindPort: 6443
  master10:
    advertiseAddress: 10.21.0.12
    bindPort: 6443
apiVersion: kubeadm.k8s.io/v1beta2
kind: ClusterStatus
"""

CURL = r"""#!/bin/sh
# Plays etcd's gateway: two members; a removal fails as often as the file "ill" has lines.
for url; do :; done
echo "curl ${url##*/} $(echo "$*" | grep -o '{.*}')" >> "$PLAYED/log"
case $url in
  */member/list) cat "$PLAYED/members" ;;
  */member/remove)
    if [ -s "$PLAYED/ill" ]; then sed -i 1d "$PLAYED/ill"; echo "curl: (22) error: 503" >&2; exit 22; fi
    echo '{}' ;;
  *) exit 9 ;;
esac
"""

KUBECTL = r"""#!/bin/sh
# Plays kubectl.
shift 4
echo "kubectl $*" >> "$PLAYED/log"
case "$*" in
  "-n kube-system get configmap kubeadm-config -o json") cat "$PLAYED/config" ;;
  "replace -f -") cat > "$PLAYED/config" ;;
  "delete pods"*) [ ! -e "$PLAYED/no-api" ] ;;
  "delete node"*) echo "node deleted" ;;
  *) exit 9 ;;
esac
"""


@pytest.fixture
def played(tmp_path: Path) -> Path:
    for name, text in (("curl", CURL), ("kubectl", KUBECTL), ("sleep", "#!/bin/sh\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    members = [
        {"ID": "1", "name": "master1", "peerURLs": ["https://10.21.0.11:2380"]},
        {"ID": "2", "name": "", "peerURLs": ["https://10.21.0.12:2380"]},
        {"ID": "3", "name": "master3", "peerURLs": ["https://10.21.0.13:2380"]},
    ]
    (tmp_path / "members").write_text(json.dumps({"members": members}))
    (tmp_path / "config").write_text(
        json.dumps({"data": {"ClusterStatus": STATUS}, "metadata": {"resourceVersion": "7"}})
    )
    return tmp_path


def forget(played: Path, *machines: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": f"{played}:{os.environ['PATH']}", "PLAYED": str(played)}
    argv = ["bash", "-s", "--", "10.21.0.13", *machines]
    return subprocess.run(argv, input=FORGET.read_text(), capture_output=True, text=True, env=env, timeout=60)


def log(played: Path) -> list[str]:
    return (played / "log").read_text().splitlines()


def test_its_endpoint_its_member_its_pods_and_its_node_go_in_this_order(played: Path) -> None:
    done = forget(played, "master1=10.21.0.11", "worker1=10.21.0.14")
    assert done.returncode == 0, done.stderr
    assert "removed etcd member https://10.21.0.11:2380" in done.stdout
    changes = [line for line in log(played) if not line.startswith(("curl list", "kubectl -n kube-system get"))]
    assert changes == [
        "kubectl replace -f -",
        'curl remove {"ID": "1"}',
        *(
            line
            for name in ("master1", "worker1")
            for line in (
                f"kubectl delete pods --all-namespaces --field-selector spec.nodeName={name} --force --grace-period 0"
                " --wait=false",
                f"kubectl delete node {name} --ignore-not-found",
            )
        ),
    ]


@pytest.mark.parametrize(
    ("machine", "left"),
    [
        ("master1=10.21.0.11", ['"0":', "master10:"]),
        ("0=10.21.0.13", ["master1:", "master10:"]),
        ("master10=10.21.0.12", ['"0":', "master1:"]),
        ("master=10.21.0.19", ['"0":', "master1:", "master10:"]),
    ],
)
def test_kubeadm_forgets_this_endpoint_and_no_other(played: Path, machine: str, left: list[str]) -> None:
    forget(played, machine)
    config = json.loads((played / "config").read_text())
    lines = config["data"]["ClusterStatus"].splitlines()
    assert [line.strip() for line in lines if line.startswith("  ") and not line.startswith("   ")] == left
    assert len(lines) == 3 + 3 * len(left)
    assert config["metadata"] == {"resourceVersion": "7"}, "a change that came between is not overwritten"


def test_a_kubeadm_that_keeps_no_endpoints_is_left_alone(played: Path) -> None:
    (played / "config").write_text(json.dumps({"data": {"ClusterConfiguration": "kind: ClusterConfiguration\n"}}))
    assert forget(played, "master1=10.21.0.11").returncode == 0
    assert "kubectl replace -f -" not in log(played)


def test_an_etcd_that_calls_itself_unhealthy_for_a_moment_is_asked_again(played: Path) -> None:
    (played / "ill").write_text("once\ntwice\n")
    assert forget(played, "master1=10.21.0.11").returncode == 0
    assert [line for line in log(played) if line.startswith("curl remove")] == ['curl remove {"ID": "1"}'] * 3


def test_one_that_stays_unhealthy_ends_it_before_the_node_is_deleted(played: Path) -> None:
    (played / "ill").write_text("ill\n" * 100)
    done = forget(played, "master1=10.21.0.11")
    assert done.returncode != 0
    assert "error: 503" in done.stderr
    assert not [line for line in log(played) if "delete" in line]


def test_what_the_cluster_no_longer_knows_is_no_error(played: Path) -> None:
    assert forget(played, "nobody=10.21.0.99").returncode == 0


def test_pods_that_cannot_be_deleted_keep_the_node(played: Path) -> None:
    (played / "no-api").touch()
    assert forget(played, "master1=10.21.0.11").returncode != 0
    assert not [line for line in log(played) if "delete node" in line]
