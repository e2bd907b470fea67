"""One archive with everything needed to diagnose a lab; what cannot be had is said in it and stops nothing."""

from __future__ import annotations

import json
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.context import Lab
from lab.errors import LabError
from lab.host import archives
from lab.machine import Machine
from lab.model.functions import Function
from lab.parallel import workers
from lab.providers.base import MachineState
from lab.topology import Node

#: What is asked of every machine: file name in the archive, and the command that fills it. No keys, no kubeconfigs.
QUESTIONS: Mapping[str, str] = {
    "journal.log": "journalctl --boot --no-pager --output short-precise --lines 20000",
    "units.txt": "systemctl list-units --all --no-pager; systemctl --failed --no-pager",
    "network.txt": "ip addr; ip route; ip neigh; ss -tlnp",
    "haproxy.txt": "cat /etc/haproxy/haproxy.cfg; echo 'show stat' | socat stdio /run/haproxy/admin.sock",
    "keepalived.conf": "cat /etc/keepalived/keepalived.conf",
    "containers.txt": "crictl ps -a || ctr -n k8s.io containers list",
    "manifests.txt": "tail -n +1 /etc/kubernetes/manifests/*.yaml",
    "steps.txt": "tail -n +1 /var/lib/halab/steps/*",
    "resources.txt": "free -m; df -h; uptime; ps aux --sort -%cpu | head -n 30",
}

#: What only a master can answer.
LOAD_BALANCER_ONLY = frozenset({"haproxy.txt", "keepalived.conf", "manifests.txt"})

#: The last bytes of each container's log: enough for a crash and what led to it.
POD_LOGS = 'for f in /var/log/pods/*/*/*.log; do echo "== $f"; tail -c 200000 "$f"; done'

#: Files of the lab's own folder that belong into it (site.json and definition.yaml hold no secret).
OWN = ("definition.yaml", "site.json", "allocations.json", "stage", "Vagrantfile")


@dataclass(frozen=True)
class Collected:
    """The archive, how many ``files`` it has from how many ``machines``, and how many questions went ``unanswered``."""

    archive: Path
    files: int
    machines: int
    unanswered: int


def collect(lab: Lab) -> Collected:
    """Ask all machines at once, and write the archive into a run folder; only its owner can read it."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder = lab.state.runs / f"{stamp}-logs"
    folder.mkdir(parents=True)
    file = folder / f"{lab.identity.name}-{stamp}.tar.gz"
    states = lab.provider.states()
    running = [lab.machines[node] for node, state in states.items() if state is MachineState.RUNNING]
    with workers(len(running)) as pool:
        gathered = list(pool.map(lambda machine: _gather(machine, lab.topology.node(machine.name)), running))
    files: dict[str, str] = {"status.json": json.dumps({node: str(state) for node, state in states.items()}, indent=1)}
    for found in gathered:
        files.update(found)
    files["lab.json"] = _status(lab)
    file.touch(mode=0o600)
    now = int(time.time())
    with tarfile.open(file, "w:gz") as archive:
        for path, text in sorted(files.items()):
            archives.add(archive, f"{lab.identity.name}/{path}", text.encode(), mtime=now)
        for own in OWN:
            if (lab.state.folder / own).is_file():
                content = (lab.state.folder / own).read_bytes()
                archives.add(archive, f"{lab.identity.name}/{own}", content, mtime=now)
    unanswered = sum(path.endswith(".error") for path in files)
    return Collected(file, len(files), len(running), unanswered)


def _gather(machine: Machine, node: Node) -> dict[str, str]:
    files = {}
    for name, command in {**QUESTIONS, "pods.log": POD_LOGS}.items():
        if name in LOAD_BALANCER_ONLY and not node.has(Function.LOAD_BALANCER):
            continue
        try:
            result = machine.run(command, timeout=60.0, label=name)
        except LabError as error:
            files[f"{machine.name}/{name}.error"] = str(error)
            continue
        files[f"{machine.name}/{name}"] = result.stdout
        if not result.ok:
            files[f"{machine.name}/{name}.error"] = f"status {result.status}\n{result.stderr}"
    return files


def _status(lab: Lab) -> str:
    try:
        return json.dumps(lab.status().as_json(), indent=1)
    except LabError as error:
        return json.dumps({"error": str(error)})
