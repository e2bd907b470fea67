"""kubeadm is told the same as ever, in whatever version of its files, and nothing that they do not have."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from published import published, wrong
from releases import BY_CONFIGURATION, V1_36_3
from ruamel.yaml import YAML

from lab.definition import load
from lab.kubernetes import yaml
from lab.kubernetes.documents import Credential, Data, Machines, comments, init, join
from lab.kubernetes.release import V1_20_2, Release
from lab.topology import Topology, derive

HERE = Path(__file__).parent
LAB = derive(load(HERE.parent.parent / "configs" / "ha.yaml"), "")
CONTAINERS = Machines(containers=True, cgroups="v1")
CREDENTIAL = Credential(
    "${JOIN_TOKEN:?the join credential is missing}", "${JOIN_CA_HASH:?}", "${JOIN_CERTIFICATE_KEY:?}"
)

Golden = Callable[[Path, dict[str, str]], None]


def told(release: Release, lab: Topology, machines: Machines) -> dict[str, list[Data]]:
    """Every kind of file that a lab has, by its name."""
    first, other, worker = lab.control_planes[0], lab.control_planes[1], lab.workers[0]
    return {
        "init.yaml": list(init(release, lab, first, machines)),
        "join-control-plane.yaml": [join(release, lab, other, machines, CREDENTIAL)],
        "join-worker.yaml": [join(release, lab, worker, machines, CREDENTIAL)],
    }


def documents(release: Release) -> Iterator[Data]:
    """All documents of a release, on all kinds of machines, with all that a definition may ask for and nothing."""
    definition = LAB.definition
    quiet = definition.kubernetes.model_copy(
        update={
            "audit": definition.kubernetes.audit.model_copy(update={"enabled": False}),
            "extra_sans": ("a.example",),
        }
    )
    for containers, cgroups, patience in product((True, False), ("v1", "v2"), (1.0, 2.5)):
        machines = Machines(containers, cgroups, patience)
        for lab in (LAB, derive(definition.model_copy(update={"kubernetes": quiet}), "")):
            for found in told(release, lab, machines).values():
                yield from found


def read(text: str) -> list[Any]:
    return list(YAML(typ="safe", pure=True).load_all(text))


def explained(text: str) -> str:
    """All comments of a file, one behind the other, wherever its lines end."""
    found = re.findall(r"(?:^|\s)# (.*)$", text, re.MULTILINE)
    return " ".join(found)


@pytest.mark.parametrize("name", ["init.yaml", "join-control-plane.yaml", "join-worker.yaml"])
def test_a_release_of_1_20_is_told_what_templates_told_it(name: str) -> None:
    before = (HERE / "before" / name).read_text()
    now = told(V1_20_2, LAB, CONTAINERS)[name]
    assert now == read(before)
    assert explained(yaml.text(now, comments(V1_20_2))) == explained(before)


@pytest.mark.parametrize("version", sorted(BY_CONFIGURATION))
def test_the_files_are_written_as_before(version: str, golden: Golden) -> None:
    release = BY_CONFIGURATION[version]
    files = told(release, LAB, replace(CONTAINERS, patience=2.0))
    texts = {name: yaml.text(found, comments(release)) for name, found in files.items()}
    golden(HERE / "golden" / version, texts)
    assert {name: read(text) for name, text in texts.items()} == files


@pytest.mark.parametrize("version", sorted(BY_CONFIGURATION))
def test_every_field_exists_in_its_kind(version: str) -> None:
    release = BY_CONFIGURATION[version]
    found = list(documents(release))
    assert len(found) == 8 * 2 * 6
    assert [complaint for document in found for complaint in wrong(document, release)] == []


@pytest.mark.parametrize(
    ("release", "path", "value", "complaint"),
    [
        (V1_20_2, "nodeRegistration.crySocket", "/x", "there is no nodeRegistration.crySocket"),
        (V1_20_2, "nodeRegistration.kubeletExtraArgs", [], "nodeRegistration.kubeletExtraArgs is no mapping"),
        (V1_20_2, "timeouts", {}, "there is no timeouts"),
        (
            V1_36_3,
            "nodeRegistration.kubeletExtraArgs",
            {"node-ip": "::1"},
            "nodeRegistration.kubeletExtraArgs is no list",
        ),
        (
            V1_36_3,
            "timeouts.controlPlaneComponentHealthCheck",
            240,
            "timeouts.controlPlaneComponentHealthCheck is no dur",
        ),
        (V1_36_3, "localAPIEndpoint.bindPort", "6443", "localAPIEndpoint.bindPort is no whole: '6443'"),
    ],
)
def test_a_field_that_does_not_exist_is_found(release: Release, path: str, value: Any, complaint: str) -> None:
    """What judges above does object."""
    document = copy.deepcopy(init(release, LAB, LAB.control_planes[0], CONTAINERS)[0])
    *above, last = path.split(".")
    part = document
    for name in above:
        part = part.setdefault(name, {})
    part[last] = value
    (found,) = wrong(document, release)
    assert found.startswith(complaint)


def test_what_is_written_down_names_every_kind() -> None:
    kinds = {kind for group in published().values() for kind in group if kind.endswith("Configuration")}
    assert kinds >= {document["kind"] for release in BY_CONFIGURATION.values() for document in documents(release)}


@pytest.mark.parametrize("version", sorted(BY_CONFIGURATION))
def test_what_teaches_stands_above_its_field(version: str) -> None:
    """Each comment is met in some file of some release that it is kept for; none of them is about nothing."""
    release = BY_CONFIGURATION[version]
    said = "\n".join(yaml.text([document], comments(release)) for document in documents(release))
    plain = " ".join(said.replace("#", " ").split())
    of_others = {"apiServer": "v1beta4", "timeouts": ("v1beta2", "v1beta3"), "failCgroupV1": ("v1beta2", "v1beta3")}
    for path, why in comments(release).items():
        assert (why in plain) or version in of_others.get(path[0], ""), path


def test_arguments_are_listed_where_the_files_list_them() -> None:
    by_version = {
        version: init(release, LAB, LAB.control_planes[0], CONTAINERS)[1]["controllerManager"]["extraArgs"]
        for version, release in BY_CONFIGURATION.items()
    }
    mapping = {"allocate-node-cidrs": "false"}
    listed = [{"name": "allocate-node-cidrs", "value": "false"}]
    assert by_version == {"v1beta2": mapping, "v1beta3": mapping, "v1beta4": listed}


def test_a_slow_host_has_its_deadline_where_kubeadm_looks_for_it() -> None:
    slow = replace(CONTAINERS, patience=2.5)
    for version, release in BY_CONFIGURATION.items():
        first, cluster, *_ = init(release, LAB, LAB.control_planes[0], slow)
        member = join(release, LAB, LAB.workers[0], slow, CREDENTIAL)
        own = [document.get("timeouts") for document in (first, member)]
        if version == "v1beta4":
            assert own == [{"controlPlaneComponentHealthCheck": "600s"}] * 2
            assert "timeoutForControlPlane" not in cluster["apiServer"]
        else:
            assert own == [None, None]
            assert cluster["apiServer"]["timeoutForControlPlane"] == "600s"


@pytest.mark.parametrize(("cgroups", "expected"), [("v1", False), ("v2", None)])
def test_a_kubelet_that_wants_control_groups_v2_is_told_only_where_there_are_none(
    cgroups: str, expected: bool | None
) -> None:
    kubelet = init(V1_36_3, LAB, LAB.control_planes[0], replace(CONTAINERS, cgroups=cgroups))[2]
    assert kubelet.get("failCgroupV1") is expected
    assert "failCgroupV1" not in init(V1_20_2, LAB, LAB.control_planes[0], CONTAINERS)[2]


def test_checks_are_skipped_by_name_and_more_of_them_in_containers() -> None:
    def skipped(containers: bool) -> list[str]:
        machines = replace(CONTAINERS, containers=containers)
        registration = init(V1_20_2, LAB, LAB.control_planes[0], machines)[0]["nodeRegistration"]
        return list(registration["ignorePreflightErrors"])

    assert skipped(False) == ["ImagePull", "Swap", "NumCPU", "Mem"]
    assert skipped(True) == [
        "SystemVerification", "FileContent--proc-sys-net-bridge-bridge-nf-call-iptables", *skipped(False)
    ]  # fmt: skip
    assert "ImagePull" not in str(told(V1_36_3, LAB, CONTAINERS)), "its images are all there"
