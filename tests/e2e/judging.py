"""The shared lab's own definition, and what it means that the lab is well, judged from outside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from credentials import Watcher
from hosts import Snapshot
from running import Done, Inv, healthy, names

from lab.definition import load
from lab.project import DEFAULT_DEFINITION
from lab.topology import derive

TOPOLOGY = derive(load(DEFAULT_DEFINITION), driver="")
NODES = sorted(node.name for node in TOPOLOGY.nodes)

#: Seconds for a machine, or a whole lab, that was switched on to be healthy again on a busy host.
BACK = 300.0


@dataclass(repr=False)  # a failed test shows its arguments, and the watcher knows the lab's secrets
class Shared:
    """The session's lab: how to speak to it, what its ``up`` did, and what the host was like before."""

    inv: Inv
    before: Snapshot
    began: float
    up: Done
    watcher: Watcher

    def healthy(self) -> None:
        """The lab finds nothing wrong with itself (what a test before this one broke may still be on its way back)."""
        self.inv.until(lambda status: status["verdict"] == "healthy", "a healthy lab", 120)

    @property
    def masters(self) -> list[str]:
        """The masters' names."""
        return [machine["name"] for machine in self.inv.status()["machines"] if machine["role"] == "master"]

    @property
    def holder(self) -> str:
        """Who holds the virtual IP."""
        (holder,) = self.inv.status()["holders"]
        return str(holder)


def readiness(inv: Inv) -> dict[str, str]:
    """Each node's Ready condition as kubectl tells it through the virtual IP."""
    path = '{range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
    return dict(line.split() for line in inv("kubectl", "get", "nodes", "-o", f"jsonpath={path}").out.splitlines())


def answers(inv: Inv, folder: Path) -> str:
    """What an apiserver behind the virtual IP says, over TLS verified with the cluster's own authority."""
    authority = folder / "ca.crt"
    authority.write_text(inv.on(TOPOLOGY.control_planes[0].name, "cat /etc/kubernetes/pki/ca.crt"))
    url = f"https://{TOPOLOGY.endpoint}/readyz"
    return inv("enter", "curl", "--silent", "--show-error", "--max-time", "5", "--cacert", str(authority), url).out


def all_well(lab: Shared, folder: Path) -> None:
    """Judged in three ways that know nothing of each other."""
    status = lab.inv.until(healthy, "a healthy lab", BACK)
    assert names(status, "nodes") == NODES
    assert readiness(lab.inv) == dict.fromkeys(NODES, "True")
    assert answers(lab.inv, folder) == "ok"


def lets_in_who_has_the_labs_own_key_alone(lab: Inv, node: str) -> None:
    """Refused is Vagrant's key, which all the world has: pods and, on a system's daemon, users reach the sshd."""
    own, known = lab.state / "ssh_key", lab.state / "vagrant" / "insecure_private_key"
    assert own.stat().st_mode & 0o777 == 0o600
    told = (lab.state / "ssh_config").read_text()
    assert str(own) in told and known.is_file()
    file = lab.state / "ssh_config.well-known"
    file.write_text(told.replace(str(own), str(known)))
    ssh = ("enter", "ssh", "-o", "ControlPath=none", "-F")
    try:
        refused = lab(*ssh, str(file), node, "true", status=255, seconds=120)
        assert "Permission denied (publickey" in refused.err
        lab(*ssh, str(lab.state / "ssh_config"), node, "true", seconds=120)
    finally:
        file.unlink()
