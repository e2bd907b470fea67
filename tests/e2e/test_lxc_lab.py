"""The whole lab in containers, as a person uses it: up, looked at, broken, healed, switched off and on, destroyed.

The tests run in this order on one lab (see conftest.py). Each leaves it healthy.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
import os
import re
import signal
import tarfile
from pathlib import Path

import pytest
from conftest import Shared
from credentials import GIVEN_AWAY, given_away, readable_by_all, readable_on, secrets_of, texts
from hosts import belonging, differences, left_of, snapshot
from running import Inv, healthy, names, until

from lab.context import DEFAULT_DEFINITION
from lab.definition import load
from lab.topology import derive

pytestmark = pytest.mark.live

TOPOLOGY = derive(load(DEFAULT_DEFINITION))
NODES = sorted(node.name for node in TOPOLOGY.nodes)
CASES = ("haproxy-failover", "api-spread", "scheduler-failover")

#: Seconds for a machine, or a whole lab, that was switched on to be healthy again on a busy host.
BACK = 300.0

#: What tells that a machine was left alone: when its services, pods and configuration were last touched.
TOUCHED = """
systemctl show -P ExecMainStartTimestampMonotonic haproxy keepalived containerd kubelet
stat -c '%n %Y' /etc/haproxy/haproxy.cfg /etc/keepalived/keepalived.conf /etc/containerd/config.toml \
  /etc/kubernetes/*.conf /etc/kubernetes/manifests/* 2> /dev/null
ctr -n k8s.io tasks list -q | sort
"""


def readiness(inv: Inv) -> dict[str, str]:
    """Each node's Ready condition as kubectl tells it through the virtual IP."""
    path = '{range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
    return dict(line.split() for line in inv("kubectl", "get", "nodes", "-o", f"jsonpath={path}").out.splitlines())


def answers(inv: Inv, folder: Path) -> str:
    """What an apiserver behind the virtual IP says, over TLS verified with the cluster's own authority."""
    authority = folder / "ca.crt"
    authority.write_text(inv.on(TOPOLOGY.masters[0].name, "cat /etc/kubernetes/pki/ca.crt"))
    url = f"https://{TOPOLOGY.endpoint}/readyz"
    return inv("enter", "curl", "--silent", "--show-error", "--max-time", "5", "--cacert", str(authority), url).out


def all_well(lab: Shared, folder: Path) -> None:
    """Judged in three ways that know nothing of each other."""
    status = lab.inv.until(healthy, "a healthy lab", BACK)
    assert names(status, "nodes") == NODES
    assert readiness(lab.inv) == dict.fromkeys(NODES, "True")
    assert answers(lab.inv, folder) == "ok"


class TestUp:
    """A lab was made."""

    def test_four_nodes_are_ready_and_the_virtual_ip_answers(self, lab: Shared, tmp_path: Path) -> None:
        all_well(lab, tmp_path)

    def test_it_says_where_the_time_went(self, lab: Shared) -> None:
        (folder,) = lab.inv.runs("up")
        stored = json.loads((folder / "phases.json").read_text())
        assert all(phase["ok"] for phase in stored["phases"])
        for name in ("init", "join", "healthy"):
            assert any(phase["name"] == name for phase in stored["phases"]), f"no phase {name}"
            assert re.search(rf"\b{name}\b", lab.up.out), f"phase {name} was not shown"
        assert stored["total"] == pytest.approx(lab.up.seconds, abs=10)
        assert f"{TOPOLOGY.endpoint} answers" in lab.up.out

    def test_it_says_nothing_on_standard_error(self, lab: Shared) -> None:
        assert [line for line in lab.up.err.splitlines() if not line.startswith("inv:")] == []

    def test_the_status_for_programs_is_complete(self, lab: Shared) -> None:
        status = lab.inv.status()
        assert status["verdict"] == "healthy"
        assert status["problems"] == []
        assert status["provider"] == "lxc"
        assert status["endpoint"] == TOPOLOGY.endpoint
        assert status["vip"] == str(TOPOLOGY.vip)
        wanted = [
            {"name": node.name, "role": node.role, "address": str(node.address), "state": "running"}
            for node in TOPOLOGY.nodes
        ]
        assert status["machines"] == wanted
        masters = sorted(node.name for node in TOPOLOGY.masters)
        assert status["holders"] == [TOPOLOGY.ranked[0].name], "the best master holds the virtual IP"
        assert sorted(status["loadbalancers"]) == masters
        for balancer in status["loadbalancers"].values():
            assert (balancer["haproxy"], balancer["keepalived"]) == ("active", "active")
            assert balancer["backends"] == dict.fromkeys(masters, "UP")
        for node in status["nodes"]:
            assert ipaddress.ip_address(node["address"]) in TOPOLOGY.subnet
            assert node["version"] == TOPOLOGY.definition.kubernetes.version
            assert node["ready"] is True
        assert status["leases"].keys() == {"kube-scheduler", "kube-controller-manager"}
        assert set(status["leases"].values()) <= set(masters)
        assert names(status, "etcd") == masters
        assert sum(member["leads"] for member in status["etcd"]) == 1

    def test_status_in_words_is_good(self, lab: Shared) -> None:
        done = lab.inv("status")
        assert "healthy" in done.out
        assert done.seconds < 20

    def test_no_address_of_the_lab_is_on_the_host(self, lab: Shared) -> None:
        new = differences(lab.before, snapshot(), [lab.inv.identity.prefix])
        assert [line for line in new if line.startswith(("links", "addresses", "routes", "/proc/sys"))] == []

    def test_every_process_lies_in_control_groups_of_its_machine(self, lab: Shared) -> None:
        prefix = lab.inv.identity.prefix
        inside = Path("/proc").glob("[0-9]*/cgroup")
        found: dict[str, set[str]] = {node: set() for node in NODES}
        for file in inside:
            with contextlib.suppress(OSError):  # the process has ended
                for line in file.read_text().splitlines():
                    if machine := re.search(rf"lxc\.payload\.{prefix}-([a-z0-9-]+)", line):
                        found[machine[1]].add(line.split(":")[1])
        assert all(controllers for controllers in found.values()), found

    def test_again_it_changes_nothing(self, lab: Shared) -> None:
        before = {node: lab.inv.on(node, TOUCHED) for node in NODES}
        files = {file: file.stat().st_mtime_ns for file in (lab.inv.state / "nodes").rglob("*") if file.is_file()}
        runs = lab.inv.runs("up")
        done = lab.inv.up()
        assert "nothing had to change" in done.out
        assert {node: lab.inv.on(node, TOUCHED) for node in NODES} == before
        assert {file: file.stat().st_mtime_ns for file in files} == files
        assert done.seconds < 30, "a healthy lab is looked at, not worked on"
        assert len(lab.inv.runs("up")) == len(runs) + 1


class TestVerify:
    """The article's three cases, and one that cannot pass."""

    def test_the_three_cases_pass(self, lab: Shared) -> None:
        known = set(lab.inv.runs("verify"))
        done = lab.inv("verify", *(word for case in CASES for word in ("--case", case)), seconds=900, status=None)
        if done.status == 2:  # "could not tell", on a host too busy for fifty connections a second: asked once more
            known = set(lab.inv.runs("verify"))
            done = lab.inv("verify", *(word for case in CASES for word in ("--case", case)), seconds=900, status=None)
        done.expect(0)
        (folder,) = set(lab.inv.runs("verify")) - known
        verdict = json.loads((folder / "verdict.json").read_text())
        assert verdict["outcome"] == "pass"
        assert [case["case"] for case in verdict["cases"]] == list(CASES)
        for case in verdict["cases"]:
            assert case["outcome"] == "pass"
            assert case["measured"]
            assert case["verdicts"], f"{case['case']} was judged by nothing"
            assert re.search(rf"{case['case']}\s+pass", done.out)
        history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
        assert sum(record["kind"] == "fault" for record in history) >= 4
        assert len({record["source"] for record in history}) >= len(TOPOLOGY.masters)
        assert (folder / "junit.xml").read_text().count("<testcase") >= len(CASES)
        assert not (lab.inv.state / "faults.json").exists()
        lab.healthy()

    def test_the_report_needs_nothing_else(self, lab: Shared) -> None:
        page = (lab.inv.runs("verify")[-1] / "report.html").read_text()
        for case in CASES:
            assert case in page
        outside = [
            *re.findall(r"""(?:src|href|srcset|action|data)\s*=\s*["']?(?!#|data:)[^"'\s>]+""", page),
            *re.findall(r"@import|url\((?!['\"]?(?:#|data:))", page),
            *re.findall(r"<(?:link|iframe|object|embed)\b", page),
        ]
        assert outside == []
        assert "<svg" in page

    def test_no_pod_is_left(self, lab: Shared) -> None:
        others = ("--all-namespaces", "--selector", "tier!=control-plane,k8s-app!=kube-proxy", "--output", "name")
        until(lambda: lab.inv("kubectl", "get", "pods", *others).out, lambda pods: pods == "", "no pods", 60)

    def test_a_lab_that_cannot_fail_over_fails(self, lab: Shared) -> None:
        lab.healthy()
        others = [name for name in lab.masters if name != lab.holder]
        try:
            for name in others:
                lab.inv.on(name, "systemctl mask --runtime --now keepalived.service")
            done = lab.inv("verify", "--case", "haproxy-failover", seconds=600, status=None)
            done.expect(1)
            verdict = json.loads((lab.inv.runs("verify")[-1] / "verdict.json").read_text())
            (case,) = verdict["cases"]
            assert case["outcome"] == "fail"
            assert any(found["outcome"] == "fail" for found in case["verdicts"])
            assert (lab.inv.runs("verify")[-1] / "report.html").is_file()
            assert "keepalived" in lab.inv("status", status=1).out
            ledger = lab.inv.state / "faults.json"
            still_open = [entry["name"] for entry in json.loads(ledger.read_text())] if ledger.exists() else []
            assert "haproxy-stop" not in still_open, "the case healed what it broke, though it failed"
        finally:
            for name in others:
                lab.inv.on(name, "systemctl unmask --runtime keepalived.service && systemctl start keepalived.service")
        lab.healthy()
        # Its pods could not be deleted through a virtual IP that nobody held: the next command does it.
        lab.inv.up()
        assert not ledger.exists()


class TestHandedOn:
    """ssh, kubectl and enter are the other program's own, options and exit status included."""

    def test_a_commands_exit_status_is_its_own(self, lab: Shared) -> None:
        lab.inv("ssh", "master2", "exit 7", status=7)
        lab.inv("enter", "sh", "-c", "exit 9", status=9)
        assert lab.inv("kubectl", "get", "node", "nobody", status=1).err.startswith("Error from server (NotFound)")

    def test_options_arrive_as_they_were_typed(self, lab: Shared) -> None:
        assert lab.inv.on("worker1", "printf '%s|' --json -h 'two  words' --lab x") == "--json|-h|two  words|--lab|x|"
        words = ["enter", "printf", "%s|", "--lab", "x", "-h", "", "two  words", "--json"]
        assert lab.inv(*words).out == "--lab|x|-h||two  words|--json|"
        wide = lab.inv("kubectl", "get", "nodes", "-o", "wide", "--no-headers", "-l", "kubernetes.io/hostname=worker1")
        assert len(wide.out.splitlines()) == 1
        assert str(TOPOLOGY.node("worker1").address) in wide.out

    def test_each_machine_is_the_one_that_was_asked_for(self, lab: Shared) -> None:
        assert {node: lab.inv.on(node, "hostname").strip() for node in NODES} == {node: node for node in NODES}
        assert lab.inv.on("master1", "id -u").strip() == "0"

    def test_standard_input_comes_through(self, lab: Shared) -> None:
        text = "line one\nline two without an end"
        digest = hashlib.sha256(text.encode()).hexdigest()
        assert lab.inv.on("master3", "sha256sum", stdin=text).split()[0] == digest
        assert lab.inv("enter", "sha256sum", stdin=text).out.split()[0] == digest

    def test_a_machine_that_does_not_exist_is_wrong_usage(self, lab: Shared) -> None:
        assert "master1" in lab.inv("ssh", "master9", "true", status=64).err

    def test_inside_there_is_the_labs_network_and_no_other(self, lab: Shared) -> None:
        shown = json.loads(lab.inv("enter", "ip", "-json", "-4", "addr").out)
        found = {info["local"] for link in shown for info in link["addr_info"]}
        assert str(TOPOLOGY.gateway) in found
        host = {line.split()[1].partition("/")[0] for line in lab.before.facts["addresses"]}
        assert not found & (host - {"127.0.0.1"})


@pytest.fixture(scope="module")
def archive(lab: Shared) -> Path:
    """What ./inv logs wrote."""
    known = set(lab.inv.runs("logs"))
    done = lab.inv("logs", seconds=300)
    (folder,) = set(lab.inv.runs("logs")) - known
    (file,) = folder.iterdir()
    assert str(file) in done.out
    return file


class TestSecrets:
    """Join credentials and the administrator's key are where they must be, and nowhere else."""

    def test_the_archive_holds_what_is_needed_to_diagnose(self, archive: Path) -> None:
        with tarfile.open(archive) as opened:
            files = {member.name.partition("/")[2]: member.size for member in opened.getmembers()}
        wanted = {"lab.json", "status.json", "definition.yaml", "Vagrantfile"}
        for node in TOPOLOGY.nodes:
            wanted |= {f"{node.name}/{name}" for name in ("journal.log", "units.txt", "network.txt", "containers.txt")}
            wanted |= {f"{node.name}/pods.log", f"{node.name}/steps.txt"}
            if node.is_master:
                wanted |= {f"{node.name}/{name}" for name in ("haproxy.txt", "keepalived.conf", "manifests.txt")}
        assert {name for name in wanted if not files.get(name)} == set()
        masters = [node.name for node in TOPOLOGY.masters]
        errors = [name for name in files if name.endswith(".error") and name.split("/")[0] in masters]
        assert errors == [], "a master can answer every question"

    def test_only_its_owner_can_read_what_has_keys(self, lab: Shared, archive: Path) -> None:
        for file in (lab.inv.state / "kubeconfig", archive):
            assert file.stat().st_mode & 0o777 == 0o600, file

    def test_no_secret_is_where_it_must_not_be(self, lab: Shared, archive: Path) -> None:
        secrets = secrets_of(lab.inv, lab.watcher.handed)
        kinds = list(secrets.forms)
        assert sum(kind.startswith("token") for kind in kinds) >= 3, "the joins' tokens live for minutes"
        assert sum(len(form) == 64 for forms in secrets.forms.values() for form in forms) >= 2, "each master got a key"
        assert lab.watcher.looks > 20
        found = [
            f"process list: {words.split(bytes(1))[0].decode()}: {secrets.within(words)}"
            for words in lab.watcher.words
            if secrets.within(words) or given_away(words)
        ]
        for name, content in texts(lab.inv.state).items():
            if name == str(lab.inv.state / "kubeconfig") or "/insecure_private_key" in name:
                continue  # the one is meant to be there; the other is Vagrant's, and known to the whole world
            found += [f"{name}: {what}" for what in [*secrets.within(content), *given_away(content)]]
        for output in (lab.up.out, lab.up.err):
            found += [
                f"output of up: {what}" for what in [*secrets.within(output.encode()), *given_away(output.encode())]
            ]
        seen, open_files = readable_by_all(lab.began - 1, secrets, *PLACES, str(lab.inv.state))
        assert seen > 20, "somebody who is nobody here should see some files"
        found += [f"{name}, which anybody can read" for name in open_files]
        for node in NODES:
            seen, open_files = readable_on(lab.inv, node, secrets)
            assert seen > 100
            found += [f"{node}: {name}" for name in open_files]
        assert found == []

    def test_the_search_would_find_them(self, lab: Shared, tmp_path: Path) -> None:
        secrets = secrets_of(lab.inv, lab.watcher.handed)
        form = next(iter(secrets.forms["token 0"]))
        lab.inv.on("worker1", "cat > /tmp/given-away && chmod 644 /tmp/given-away", stdin=form.decode())
        try:
            assert readable_on(lab.inv, "worker1", secrets)[1] == ["/tmp/given-away"]
        finally:
            lab.inv.on("worker1", "rm /tmp/given-away")
        with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
            (tmp_path / "x").write_bytes(b"--- " + form)
            archive.add(tmp_path / "x", "in/x")
        assert [name for name, content in texts(tmp_path).items() if secrets.within(content)] == [
            str(tmp_path / "x"),
            f"{tmp_path / 'x.tar.gz'}:in/x",
        ]
        line = b"kubeadm\0join\0--token\0abcdef.0123456789abcdef\0--certificate-key\0" + b"a" * 64
        assert len(given_away(line)) == len(GIVEN_AWAY) - 1


class TestPower:
    """Machines go and come back; nobody repairs anything."""

    def test_a_masters_power_is_cut_and_comes_back(self, lab: Shared, tmp_path: Path) -> None:
        lab.healthy()
        victim = lab.holder
        assert f"{victim} is off" in lab.inv("power", "off", victim).out
        status = json.loads(lab.inv("status", "--json", status=1).out)
        assert next(machine["state"] for machine in status["machines"] if machine["name"] == victim) == "stopped"
        assert any(victim in problem for problem in status["problems"])
        moved = lab.inv.until(lambda seen: len(seen["holders"]) == 1, "another holder", 30)
        assert moved["holders"] != [victim]
        lab.inv("kubectl", "get", "--raw", "/readyz")
        lab.inv("kubectl", "create", "namespace", "while-it-was-off")
        lab.inv("power", "on", victim)
        all_well(lab, tmp_path)
        assert lab.holder == victim, "the best master takes the virtual IP back"
        lab.inv("kubectl", "delete", "namespace", "while-it-was-off", "--wait=false")

    def test_halt_and_resume(self, lab: Shared, tmp_path: Path) -> None:
        lab.inv("kubectl", "create", "configmap", "kept", "--from-literal", "word=remembered")
        lab.inv("halt", seconds=300)
        assert {machine["state"] for machine in lab.inv.status()["machines"]} == {"stopped"}
        lab.inv("resume", seconds=BACK + 60)
        all_well(lab, tmp_path)
        assert lab.inv("kubectl", "get", "configmap", "kept", "-o", "jsonpath={.data.word}").out == "remembered"

    def test_all_machines_killed_at_once(self, lab: Shared, tmp_path: Path) -> None:
        killed = kill_all(lab.inv)
        assert sorted(killed) == NODES
        stopped = {"stopped"}
        lab.inv.until(lambda status: {one["state"] for one in status["machines"]} == stopped, "machines killed", 60)
        done = lab.inv.up(seconds=BACK + 120)
        assert "init" not in re.findall(r"✓ +\w+ +(\w+)", done.out), "a cluster that is there is not begun again"
        all_well(lab, tmp_path)
        assert lab.inv("kubectl", "get", "configmap", "kept", "-o", "jsonpath={.data.word}").out == "remembered"


class TestDestroy:
    """What a lab made goes away with it."""

    def test_destroy_ends_everything(self, spent_lab: Shared) -> None:
        inv = spent_lab.inv
        running = belonging(inv.identity.prefix, inv.state, inv.mark)
        assert len(running) > 50, "a lab that runs has processes"
        done = inv("destroy")
        assert "removed" in done.out
        assert [process for process in running if process.lives] == []
        assert left_of(inv.identity.prefix, inv.state) == []
        assert belonging(inv.identity.prefix, inv.state, inv.mark) == set()
        assert done.seconds < 60, f"destroy took {done.seconds:.1f} s"

    def test_the_host_is_as_it_was_before(self, spent_lab: Shared) -> None:
        assert differences(spent_lab.before, snapshot(), [spent_lab.inv.identity.prefix]) == []

    def test_runs_and_rendered_files_are_kept(self, spent_lab: Shared) -> None:
        inv = spent_lab.inv
        assert inv.runs("verify")
        assert (inv.state / "Vagrantfile").is_file()
        for name in ("kubeconfig", "ssh_config", ".vagrant", "vagrant"):
            assert not (inv.state / name).exists()

    def test_again_is_no_error_and_nothing_else_works(self, spent_lab: Shared) -> None:
        assert "nothing to remove" in spent_lab.inv("destroy").out
        assert "there is no lab" in spent_lab.inv("status", status=1).err
        assert "there is no lab" in spent_lab.inv("verify", status=1).err

    def test_all_of_it(self, spent_lab: Shared) -> None:
        spent_lab.inv("destroy", "--all")
        assert not spent_lab.inv.state.exists()
        spent_lab.inv("destroy", "--all")
        assert not spent_lab.inv.state.exists()


#: Where a lab's programs could leave something on the host (the clone's own folder besides).
PLACES = ("/var/lib/lxc", "/run", "/tmp", "/var/tmp", "/dev/shm", "/var/log")


def kill_all(inv: Inv) -> list[str]:
    """SIGKILL to the first process of every machine, at once: what a host's crash does. Returns their names."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            groups, status = (process / "cgroup").read_text(), (process / "status").read_text()
        except OSError:  # it has ended
            continue
        machine = re.search(rf"lxc\.payload\.{inv.identity.prefix}-([a-z0-9-]+)", groups)
        inside = re.search(r"^NSpid:\s*(.*)$", status, re.MULTILINE)
        if machine and inside and inside[1].split()[1:] == ["1"]:
            found[machine[1]] = int(process.name)
    for pid in found.values():
        os.kill(pid, signal.SIGKILL)
    return list(found)
