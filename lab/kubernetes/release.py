"""The releases of Kubernetes that a lab can be of: all that depends on the version, as one table. Pure.

A further release is a further row. What reads it asks for the thing and never for the version; the sources of a row's
facts stand beside them (kubernetes/ is upstream's repository as it was at that version).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lab.errors import UsageError

#: Programs that the machines run from the payload, and those that run from images of their own name and version.
ON_MACHINES = ("kubeadm", "kubelet", "kubectl")
IN_IMAGES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")

#: Kubernetes before v1.25 is proven on control groups v1 only, later ones want v2 (kubernetes.io, "About cgroup v2").
FIRST_ON_CGROUP_V2 = (1, 25)

#: Where a field of a document stands: the names that lead to it. An item of a list goes by its text or its "name".
FieldPath = tuple[str, ...]


@dataclass(frozen=True)
class Configuration:
    """One version of kubeadm's configuration files.

    ``listed``: further arguments of a program are a list of names and values, else a mapping. ``timeouts``: deadlines
    stand together, for one machine; else there is one, for the whole cluster.
    """

    version: str
    listed: bool = False
    timeouts: bool = False


V1BETA2 = Configuration("v1beta2")
V1BETA3 = Configuration("v1beta3")
V1BETA4 = Configuration("v1beta4", listed=True, timeouts=True)


@dataclass(frozen=True)
class Skipped:
    """A check of kubeadm's preflight whose error stops nothing. ``containers``: only where machines are containers."""

    check: str
    why: str = ""
    containers: bool = False


@dataclass(frozen=True)
class Setting:
    """A field of the kubelet's configuration that is there because of the release."""

    path: FieldPath
    value: bool
    why: str


@dataclass(frozen=True)
class Release:
    """One release: what it is made of, what it needs, what it must be told, and how a cluster of it behaves."""

    #: With its v.
    version: str
    #: Those of our sources that have it (lab.payload).
    sources: tuple[str, ...]
    #: The newest version of its files that kubeadm reads.
    configuration: Configuration
    #: Where kubeadm looks for images.
    registry: str
    #: The tags of etcd's and pause's images.
    etcd: str
    pause: str
    #: The name and tag of CoreDNS's image, and whether it can be had.
    coredns: str
    dns: bool
    #: The lowest containerd that it runs on, and the first that it does not run on any more.
    containerd: tuple[str, str]
    #: containerd's address.
    cri_socket: str
    #: Where the machines' network plugins lie.
    cni_folder: str
    #: Does kubeadm call it?
    crictl: bool
    preflight: tuple[Skipped, ...]
    kubelet: tuple[Setting, ...]
    #: Does the kubelet refuse to start on control groups v1 unless it is told not to?
    needs_cgroup_v2: bool
    #: A joining etcd has no vote until it has caught up.
    learners: bool
    #: A control plane's kubelet asks its own apiserver and not the VIP: without that one its node is NotReady.
    local_kubelets: bool

    @property
    def minor(self) -> tuple[int, int]:
        """Major and minor number."""
        return minor(self.version)

    @property
    def cgroups(self) -> str:
        """The version of control groups that a machine with a kernel of its own boots with."""
        return "v2" if self.minor >= FIRST_ON_CGROUP_V2 else "v1"

    def cgroup_driver(self, cgroups: str) -> str:
        """Who makes the pods' control groups of that version, v1 or v2. A tree of version 2 has one owner: systemd."""
        return "systemd" if cgroups == "v2" else "cgroupfs"

    @property
    def programs(self) -> tuple[str, ...]:
        """The programs that a machine has."""
        return (*ON_MACHINES, "crictl") if self.crictl else ON_MACHINES

    def image(self, name: str) -> str:
        """The image of that name as kubeadm asks for it: one of IN_IMAGES, etcd or pause."""
        tags = {"etcd": self.etcd, "pause": self.pause}
        return f"{self.registry}/{name}:{tags.get(name, self.version)}"

    @property
    def images(self) -> tuple[str, ...]:
        """All images that a cluster is made of (what `kubeadm config images list` says, less what cannot be had)."""
        own = tuple(self.image(name) for name in (*IN_IMAGES, "pause", "etcd"))
        return (*own, f"{self.registry}/{self.coredns}") if self.dns else own

    @property
    def skipped_phases(self) -> tuple[str, ...]:
        """The phases of kubeadm init that are left out."""
        return () if self.dns else ("addon/coredns",)


def minor(version: str) -> tuple[int, int]:
    """Major and minor number of a version such as v1.20.2. Raises UsageError for what is no version."""
    match = re.fullmatch(r"v([0-9]+)\.([0-9]+)\.[0-9]+", version)
    if match is None:
        raise UsageError(f"{version!r} is no version of Kubernetes", "one such as v1.20.2")
    return int(match[1]), int(match[2])


#: Checks of what an ordinary host has, and a lab's machines need not have.
SMALL = (Skipped("Swap", "the kubelet is told failSwapOn: false"), Skipped("NumCPU"), Skipped("Mem"))

V1_20_2 = Release(
    version="v1.20.2",
    # Debian 12's source package "kubernetes", whose own version says 1.20.5+really1.20.2.
    sources=("debian",),
    # kubernetes/cmd/kubeadm/app/apis/kubeadm: v1beta1, on its way out, and this one.
    configuration=V1BETA2,
    # kubernetes/cmd/kubeadm/app/apis/kubeadm/v1beta2/defaults.go, cmd/kubeadm/app/constants/constants.go.
    registry="k8s.gcr.io",
    etcd="3.4.13-0",
    pause="3.2",
    coredns="coredns:1.7.0",
    # Debian does not package it.
    dns=False,
    # It speaks CRI v1alpha2 alone (kubernetes/pkg/kubelet/cri/remote/remote_runtime.go), which containerd 2.0 does not
    # any more (containerd's RELEASES.md, "Kubernetes Support"); 1.6, Debian 12's, is the oldest that it was proven on.
    containerd=("1.6", "2.0"),
    # Until 1.24 a path, from then on a URL (kubernetes#107295).
    cri_socket="/run/containerd/containerd.sock",
    # Debian's containernetworking-plugins; upstream's own package has /opt/cni/bin.
    cni_folder="/usr/lib/cni",
    # kubernetes/cmd/kubeadm/app/util/runtime/runtime.go runs it for whatever it asks of containerd.
    crictl=True,
    # kubernetes/cmd/kubeadm/app/preflight/checks.go.
    preflight=(
        Skipped(
            "SystemVerification",
            "looks for the kernel's configuration under /lib/modules, which a container has not",
            containers=True,
        ),
        Skipped(
            "FileContent--proc-sys-net-bridge-bridge-nf-call-iptables",
            "belongs to the host's kernel; kube-proxy masquerades without it",
            containers=True,
        ),
        Skipped("ImagePull", "CoreDNS's image is not part of the payload; the others are here already"),
        *SMALL,
    ),
    # From 1.25 on a field of its own, localStorageCapacityIsolation (kubernetes#111513).
    kubelet=(
        Setting(
            ("featureGates", "LocalStorageCapacityIsolation"),
            False,
            "The kubelet learns the disk's size some time after its start and until then refuses every pod that asks "
            "for any of it, static ones for ever: etcd's, when a join starts the kubelet and writes etcd's manifest at "
            "that moment.",
        ),
    ),
    # failCgroupV1 is of 1.31 and true from 1.35 on (KEP-5573).
    needs_cgroup_v2=False,
    # kubeadm's EtcdLearnerMode is on from 1.29, its ControlPlaneKubeletLocalMode (KEP-4471) from 1.33.
    learners=False,
    local_kubelets=False,
)

#: The table, the oldest first.
RELEASES: Mapping[str, Release] = {row.version: row for row in (V1_20_2,)}

OLDEST = V1_20_2

#: What a definition gets that names none.
DEFAULT = V1_20_2


def release(version: str) -> Release:
    """The release of that version.

    One that the table has not is taken for the last one before it: its plan can be looked at, but no source has it.
    """
    if version in RELEASES:
        return RELEASES[version]
    rows = tuple(RELEASES.values())
    before = [row for row in rows if row.minor <= minor(version)]
    return replace((before or rows[:1])[-1], version=version, sources=())


def releases_of(source: str) -> tuple[Release, ...]:
    """The releases that a source has, the newest first."""
    return tuple(row for row in RELEASES.values() if source in row.sources)[::-1]
