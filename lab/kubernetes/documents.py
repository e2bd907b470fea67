"""kubeadm's documents as data: what it, the kubelets and kube-proxy are told. Pure.

A document is plain data whose fields stand in the order in which people read them; what they should know of a field is
kept beside, by its path (``comments``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.kubernetes.release import FieldPath, Release
from lab.model.functions import Function
from lab.topology import Node, Topology

#: One document, or a part of one.
Data = dict[str, Any]

#: Seconds within which kubeadm wants an apiserver to answer (its constants.go), where nobody says otherwise.
CONTROL_PLANE_SECONDS = 240

#: The port of every apiserver.
PORT = 6443


@dataclass(frozen=True)
class Machines:
    """What the documents depend on besides release and topology.

    ``containers``: they share a kernel with the host; ``cgroups`` is the version of control groups that they see, v1 or
    v2; ``patience`` how many times longer than on an ordinary host things may take.
    """

    containers: bool
    cgroups: str
    patience: float = 1.0


@dataclass(frozen=True)
class Credential:
    """What a machine joins with: a token, the hash of the CA's public key and, for control planes, their key."""

    token: str
    ca_hash: str
    certificate_key: str


WHY: Mapping[FieldPath, str] = {
    ("bootstrapTokens",): (
        "kubeadm makes a token whatever it is told, for a day when it is told nothing. "
        "Each join is given one of its own."
    ),
    ("nodeRegistration", "ignorePreflightErrors"): "Each is named: an error that is not on this list stops kubeadm.",
    ("apiServer", "timeoutForControlPlane"): "Four minutes by itself, which are an ordinary host's.",
    ("timeouts", "controlPlaneComponentHealthCheck"): "Four minutes by itself, which are an ordinary host's.",
    ("controllerManager", "extraArgs", "allocate-node-cidrs"): (
        "Each node's pod network is set by the lab (CNI configuration and routes); a second allocator would disagree."
    ),
    ("failCgroupV1",): "By itself a kubelet refuses to start on control groups v1, which these machines have.",
    ("evictionHard",): (
        "The machines share one disk with the host: its filling up is not theirs to cure by evicting pods."
    ),
    ("conntrack", "maxPerCore"): "The table's size belongs to the host's kernel.",
}


def comments(release: Release) -> dict[FieldPath, str]:
    """Why fields of a release's documents are as they are, by their paths."""
    found = {**WHY, **{setting.path: setting.why for setting in release.kubelet}}
    for skipped in release.preflight:
        if skipped.why:
            found["nodeRegistration", "ignorePreflightErrors", skipped.check] = skipped.why
    return found


def init(release: Release, lab: Topology, node: Node, machines: Machines) -> tuple[Data, ...]:
    """What the machine is told that begins the cluster: itself, the cluster, and all kubelets and kube-proxies."""
    itself = {
        **_kubeadm(release, "InitConfiguration"),
        "bootstrapTokens": [{"ttl": "1s"}],
        "localAPIEndpoint": _endpoint(node),
        "nodeRegistration": _registration(release, node, machines),
        **_timeouts(release, machines),
    }
    return itself, _cluster(release, lab, machines), _kubelet(release, machines), _kube_proxy()


def join(release: Release, lab: Topology, node: Node, machines: Machines, credential: Credential) -> Data:
    """What any other machine is told that becomes a member."""
    document = {
        **_kubeadm(release, "JoinConfiguration"),
        "discovery": {
            "bootstrapToken": {
                "apiServerEndpoint": lab.endpoint,
                "token": credential.token,
                "caCertHashes": [credential.ca_hash],
            }
        },
    }
    if node.has(Function.CONTROL_PLANE):
        document["controlPlane"] = {
            "certificateKey": credential.certificate_key,
            "localAPIEndpoint": _endpoint(node),
        }
    return {
        **document,
        "nodeRegistration": _registration(release, node, machines),
        **_timeouts(release, machines),
    }


def _kubeadm(release: Release, kind: str) -> Data:
    return {"apiVersion": f"kubeadm.k8s.io/{release.configuration.version}", "kind": kind}


def _endpoint(node: Node) -> Data:
    return {"advertiseAddress": str(node.address), "bindPort": PORT}


def _registration(release: Release, node: Node, machines: Machines) -> Data:
    return {
        "name": node.name,
        "criSocket": release.cri_socket,
        "kubeletExtraArgs": _arguments(release, {"node-ip": str(node.address)}),
        "ignorePreflightErrors": [
            skipped.check for skipped in release.preflight if machines.containers or not skipped.containers
        ],
    }


def _arguments(release: Release, flags: Mapping[str, str]) -> Data | list[Data]:
    """Further arguments of a program, by the names of its flags without their dashes."""
    if release.configuration.listed:
        return [{"name": name, "value": value} for name, value in flags.items()]
    return dict(flags)


def _seconds(machines: Machines) -> str:
    """How long kubeadm waits for a control plane, "" for as long as it does by itself."""
    return f"{round(CONTROL_PLANE_SECONDS * machines.patience)}s" if machines.patience > 1 else ""


def _timeouts(release: Release, machines: Machines) -> Data:
    """A machine's own deadlines, where they are not the cluster's."""
    seconds = _seconds(machines)
    own = release.configuration.timeouts and seconds
    return {"timeouts": {"controlPlaneComponentHealthCheck": seconds}} if own else {}


def _cluster(release: Release, lab: Topology, machines: Machines) -> Data:
    network = lab.definition.network
    return {
        **_kubeadm(release, "ClusterConfiguration"),
        "clusterName": lab.definition.name,
        "kubernetesVersion": release.version,
        "controlPlaneEndpoint": lab.endpoint,
        "networking": {"podSubnet": str(network.pods), "serviceSubnet": str(network.services)},
        "apiServer": _apiserver(release, lab, machines),
        "controllerManager": {"extraArgs": _arguments(release, {"allocate-node-cidrs": "false"})},
    }


def _apiserver(release: Release, lab: Topology, machines: Machines) -> Data:
    definition = lab.definition
    names = [str(lab.vip), f"vip.{definition.name}.lab"]
    for node in lab.control_planes:
        names += [node.name, str(node.address)]
    told: Data = {}
    if not release.configuration.timeouts and (seconds := _seconds(machines)):
        told["timeoutForControlPlane"] = seconds
    told["certSANs"] = [*names, *definition.kubernetes.extra_sans]
    audit = definition.kubernetes.audit
    if audit.enabled:
        policy, logs = "/etc/kubernetes/lab/audit-policy.yaml", "/var/log/kubernetes/audit"
        flags = {
            "audit-policy-file": policy,
            "audit-log-path": f"{logs}/audit.log",
            "audit-log-maxsize": str(audit.max_size),
            "audit-log-maxbackup": str(audit.max_backups),
        }
        told["extraArgs"] = _arguments(release, flags)
        told["extraVolumes"] = [
            {"name": "audit-policy", "hostPath": policy, "mountPath": policy, "readOnly": True, "pathType": "File"},
            {"name": "audit-log", "hostPath": logs, "mountPath": logs, "pathType": "DirectoryOrCreate"},
        ]
    return told


def _kubelet(release: Release, machines: Machines) -> Data:
    document: Data = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": release.cgroup_driver(machines.cgroups),
    }
    if release.needs_cgroup_v2 and machines.cgroups == "v1":
        document["failCgroupV1"] = False
    for setting in release.kubelet:
        *above, last = setting.path
        part = document
        for name in above:
            part = part.setdefault(name, {})
        part[last] = setting.value
    return {
        **document,
        "failSwapOn": False,
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }


def _kube_proxy() -> Data:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "conntrack": {"maxPerCore": 0, "min": 0},
    }
