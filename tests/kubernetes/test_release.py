"""The table of releases: what is asked of it, and what of a release that it has not."""

from __future__ import annotations

import pytest
from releases import V1_36_3

from lab.definition.models import Definition
from lab.errors import UsageError
from lab.kubernetes.release import DEFAULT, RELEASES, V1_20_2, minor, release, releases_of


def test_a_row_is_found_by_its_version() -> None:
    assert {version: release(version) for version in RELEASES} == RELEASES
    assert [row.version for row in RELEASES.values()] == list(RELEASES)
    assert [row.minor for row in RELEASES.values()] == sorted(row.minor for row in RELEASES.values())


def test_a_definition_that_names_none_gets_the_default() -> None:
    assert Definition.model_fields["kubernetes"].default_factory is not None
    assert Definition(nodes=()).kubernetes.version == DEFAULT.version
    assert (releases_of("debian"), releases_of("nobody")) == ((V1_20_2,), ())


@pytest.mark.parametrize(("version", "cgroups"), [("v1.20.15", "v1"), ("v1.24.0", "v1"), ("v1.25.0", "v2")])
def test_a_release_that_the_table_has_not_is_the_last_one_before_it_without_a_source(
    version: str, cgroups: str
) -> None:
    found = release(version)
    assert (found.version, found.sources, found.cgroups) == (version, (), cgroups)
    assert (found.configuration, found.pause) == (V1_20_2.configuration, V1_20_2.pause)
    assert found.image("kube-apiserver") == f"k8s.gcr.io/kube-apiserver:{version}"


def test_one_older_than_the_table_is_its_first() -> None:
    assert release("v1.2.3").configuration == V1_20_2.configuration


@pytest.mark.parametrize("text", ["", "1.20.2", "v1.20", "v1.20.2-rc.0", "v1.20.2\n", "$(id)"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no version of Kubernetes"):
        minor(text)


def test_the_images_are_those_that_kubeadm_lists() -> None:
    """The list of `kubeadm config images list --kubernetes-version v1.20.2`, less CoreDNS, which cannot be had."""
    assert V1_20_2.images == (
        "k8s.gcr.io/kube-apiserver:v1.20.2",
        "k8s.gcr.io/kube-controller-manager:v1.20.2",
        "k8s.gcr.io/kube-scheduler:v1.20.2",
        "k8s.gcr.io/kube-proxy:v1.20.2",
        "k8s.gcr.io/pause:3.2",
        "k8s.gcr.io/etcd:3.4.13-0",
    )
    assert V1_36_3.images[-1] == "registry.k8s.io/coredns/coredns:v1.14.2"


def test_what_cannot_be_had_is_left_out_and_what_is_not_called_is_not_there() -> None:
    assert (V1_20_2.skipped_phases, V1_36_3.skipped_phases) == (("addon/coredns",), ())
    assert V1_20_2.programs == ("kubeadm", "kubelet", "kubectl", "crictl")
    assert V1_36_3.programs == ("kubeadm", "kubelet", "kubectl")
