"""Definitions that are not the default, and several labs at once, on real containers."""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
from pathlib import Path

import pytest
from hosts import left_of
from labs import made
from running import FOLDER, Inv, healthy, names, until

from lab.verify.cases import LOADBALANCER, tagged

pytestmark = [pytest.mark.live, pytest.mark.long]

ODD = """
name: odd-one
provider: lxc
network: {subnet: 172.30.5.64/26, vip: 172.30.5.120, port: 8443, pods: 10.100.0.0/16, services: 10.200.0.0/20}
nodes:
  - {name: wheel, role: worker}
  - {name: north, role: master, address: 172.30.5.70, priority: 100}
  - {name: east-1, role: master, address: 172.30.5.99, priority: 254}
  - {name: "0x", role: master, priority: 200}
  - {name: cog, role: worker}
"""

SOLO = """
name: solo
provider: lxc
nodes:
  - {name: only, role: master}
  - {name: hand, role: worker}
"""

#: The image of tests and exercises that every payload brings.
WORKLOAD = "lab.local/busybox:1"


def written(place: Path, text: str) -> Path:
    """A definition as a file."""
    definition = place / f"{re.findall(r'^name: (.+)$', text, re.MULTILINE)[0]}.yaml"
    definition.write_text(text)
    return definition


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Another clone of this project, with a state of its own (and the virtual environment of this one)."""
    other = tmp_path / "clone"
    skipped = shutil.ignore_patterns(".lab", ".venv", ".git", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(FOLDER, other, ignore=skipped)
    (other / ".venv").symlink_to(FOLDER / ".venv")
    return other


def test_other_names_addresses_port_and_networks(containers: None, tmp_path: Path) -> None:
    with made("odd-one", written(tmp_path, ODD)) as lab:
        assert "172.30.5.120:8443 answers" in lab.up().out
        status = lab.status()
        assert healthy(status)
        assert (status["lab"], status["endpoint"]) == ("odd-one", "172.30.5.120:8443")
        assert names(status, "nodes") == ["0x", "cog", "east-1", "north", "wheel"]
        assert names(status, "etcd") == ["0x", "east-1", "north"]
        assert status["holders"] == ["east-1"], "the best priority holds, whatever the order"
        addresses = {machine["name"]: machine["address"] for machine in status["machines"]}
        assert (addresses["north"], addresses["east-1"]) == ("172.30.5.70", "172.30.5.99")
        assert all(ipaddress.ip_address(one) in ipaddress.ip_network("172.30.5.64/26") for one in addresses.values())
        assert lab("kubectl", "config", "view", "-o", "jsonpath={.clusters[0].cluster.server}").out == (
            "https://172.30.5.120:8443"
        )
        _pods_reach_each_other(lab)
        done = lab("verify", "--case", "haproxy-failover", "--case", "api-spread", seconds=900, status=None)
        done.expect(0)
        assert lab.up().out.count("nothing had to change") == 1


def test_what_the_articles_settings_survive_and_what_not_is_said_before_and_judged_after(containers: None) -> None:
    cases = [case.name for case in tagged(LOADBALANCER)]
    with made("article", FOLDER / "configs/article.yaml") as lab:
        planned = lab("plan")
        for case in ("haproxy-hang", "pause"):
            assert re.search(rf"^{case} .*not survived", planned.out, re.MULTILINE)
        assert "given clients as soon as it listens, seconds before it is ready" in planned.err
        lab.up()
        lab("verify", *(word for case in cases for word in ("--case", case)), seconds=1800, status=None).expect(1)
        found = json.loads((lab.runs("verify")[-1] / "verdict.json").read_text())["cases"]
        failed = {case["case"]: {v["check"] for v in case["verdicts"] if v["outcome"] != "pass"} for case in found}
        # A master that boots is given clients before its apiserver is ready: what they lose depends on its start.
        back = failed.pop("power-cut")
        assert back <= {"failback", "losses", "recovered"}, found
        cut = {v["check"]: v for case in found if case["case"] == "power-cut" for v in case["verdicts"]}
        assert cut["failback"]["outcome"] in ("pass", "unknown"), "nothing was promised of it"
        good = {case: set() for case in ("haproxy-stop", "haproxy-kill", "haproxy-crash", "keepalived-stop")}
        assert failed == good | {"haproxy-hang": {"outage"}, "pause": {"outage"}}, found
        assert healthy(lab.status())


def _pods_reach_each_other(lab: Inv) -> None:
    """A pod on each worker, in the pod network, and the one fetches a page from the other."""
    serve = ["sh", "-c", "mkdir /www && echo well > /www/index.html && httpd -f -p 8080 -h /www"]
    for node in ("wheel", "cog"):
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"on-{node}"},
            "spec": {
                "nodeName": node,
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "it", "image": WORKLOAD, "command": serve}],
            },
        }
        lab("kubectl", "create", "--filename", "-", stdin=json.dumps(pod))
    lab("kubectl", "wait", "--for=condition=Ready", "pod", "--all", "--timeout=120s", seconds=150)
    shown = lab("kubectl", "get", "pods", "-o", "json").json()["items"]
    address = {item["spec"]["nodeName"]: item["status"]["podIP"] for item in shown}
    assert all(ipaddress.ip_address(one) in ipaddress.ip_network("10.100.0.0/16") for one in address.values())
    fetch = ["sh", "-c", f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {address['cog']} 8080"]
    assert lab("kubectl", "exec", "on-wheel", "--", *fetch).out.endswith("\r\n\r\nwell\n")
    assert lab("kubectl", "logs", "on-cog").out == ""
    lab("kubectl", "delete", "pod", "--all", "--wait=false")


def test_one_master_works_and_is_warned_about(containers: None, tmp_path: Path) -> None:
    with made("solo", written(tmp_path, SOLO)) as lab:
        done = lab.up("--until", "workers")
        warnings = [line for line in done.err.splitlines() if line.startswith("warning:")]
        assert any("one master only" in line and "three masters" in line for line in warnings)
        status = lab.status()
        assert healthy(status)
        assert names(status, "nodes") == ["hand", "only"]
        assert status["holders"] == ["only"]
        lab("kubectl", "get", "--raw", "/readyz")


def test_labs_side_by_side_never_meet(containers: None, tmp_path: Path, clone: Path) -> None:
    """Two labs of one clone, and one of the same name in another clone; all with the same subnet and addresses."""
    with (
        made("solo", written(tmp_path, SOLO)) as one,
        made("solo-two", written(tmp_path, SOLO.replace("name: solo", "name: solo-two"))) as two,
        made("solo", written(clone, SOLO), clone) as other,
    ):
        labs = (one, two, other)
        for lab in labs:
            lab.up("--until", "control-plane")
        for number, lab in enumerate(labs):
            assert healthy(lab.status()), "a lab without workers is what was asked for"
            lab("kubectl", "create", "configmap", "which", f"--from-literal=number={number}")
        read = ["kubectl", "get", "configmap", "which", "-o", "jsonpath={.data.number}"]
        assert [lab(*read).out for lab in labs] == ["0", "1", "2"]
        authority = ["ssh", "only", "sha256sum /etc/kubernetes/pki/ca.crt /etc/machine-id"]
        assert len({lab(*authority).out for lab in labs}) == 3
        listed = one("labs", lab=False).out
        assert re.search(r"^solo +lxc +10\.21\.0\.100:16443 +2 of 2 running", listed, re.MULTILINE)
        assert re.search(r"^solo-two +lxc +10\.21\.0\.100:16443 +2 of 2 running", listed, re.MULTILINE)
        assert "solo-two" not in other("labs", lab=False).out
        two("destroy")
        assert left_of(two.identity.prefix, two.state) == []
        for lab, kept in ((one, "0"), (other, "2")):
            until(lab.status, healthy, "a healthy lab", 60)
            assert lab(*read).out == kept
        other("destroy")
        assert one(*read).out == "0"
