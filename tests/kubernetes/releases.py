"""Releases that no source of ours has yet, for the configurations that kubeadm reads today."""

from __future__ import annotations

from dataclasses import replace

from lab.kubernetes.release import SMALL, V1_20_2, V1BETA3, V1BETA4, Release, Setting, Skipped

CONTAINER = Skipped(
    "SystemVerification", "looks for the kernel's configuration, which a container has not", containers=True
)

#: Facts as of kubernetes 1.30.14 (kubernetes/minikube's table of kubeadm's images, and kubeadm's constants.go).
V1_30_14 = replace(
    V1_20_2,
    version="v1.30.14",
    configuration=V1BETA3,
    registry="registry.k8s.io",
    etcd="3.5.15-0",
    pause="3.9",
    coredns="coredns/coredns:v1.11.3",
    dns=True,
    cri_socket="unix:///run/containerd/containerd.sock",
    preflight=(CONTAINER, *SMALL),
    kubelet=(Setting(("localStorageCapacityIsolation",), False, "The disk's size is known late."),),
    learners=True,
)

#: Facts as of the Go module k8s.io/kubernetes v1.36.3 (cmd/kubeadm/app/constants/constants.go).
V1_36_3 = replace(
    V1_30_14,
    version="v1.36.3",
    configuration=V1BETA4,
    etcd="3.6.8-0",
    pause="3.10.2",
    coredns="coredns/coredns:v1.14.2",
    containerd=("1.7", "3.0"),
    crictl=False,
    needs_cgroup_v2=True,
    local_kubelets=True,
)

#: One for each version of kubeadm's files.
BY_CONFIGURATION: dict[str, Release] = {one.configuration.version: one for one in (V1_20_2, V1_30_14, V1_36_3)}
