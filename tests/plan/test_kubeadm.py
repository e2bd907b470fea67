"""What kubeadm is told on one machine stands as text in the scripts that tell it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

from ruamel.yaml import YAML
from samples import site, topology

from lab.kubernetes.release import V1_20_2
from lab.plan.kubeadm import Kubeadm

LAB = topology("ha")
CREDENTIAL = {"JOIN_TOKEN": "abcdef.0", "JOIN_CA_HASH": "sha256:0", "JOIN_CERTIFICATE_KEY": "k"}


def filled_in(text: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What bash makes of a here-document."""
    return subprocess.run(
        ["bash", "-uc", f"cat <<EOF\n{text}\nEOF\n"], cwd=folder, env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip


def test_the_credential_is_filled_in_and_nothing_else_is(tmp_path: Path) -> None:
    """No name can run anything, not even one that no rule has looked at."""
    name = "$(touch pwned)`touch pwned`${HOME}\\$(touch pwned)"
    text = Kubeadm(V1_20_2, LAB, site(), replace(LAB.control_planes[1], name=name)).join
    done = filled_in(text, tmp_path, CREDENTIAL)
    assert (done.returncode, done.stderr, list(tmp_path.iterdir())) == (0, "", [])
    told = YAML(typ="safe").load(done.stdout)
    assert told["nodeRegistration"]["name"] == name
    assert told["controlPlane"]["certificateKey"] == "k"
    assert told["discovery"]["bootstrapToken"] | {"apiServerEndpoint": ""} == {
        "apiServerEndpoint": "", "token": "abcdef.0", "caCertHashes": ["sha256:0"]
    }  # fmt: skip


def test_without_a_credential_nothing_is_written(tmp_path: Path) -> None:
    done = filled_in(Kubeadm(V1_20_2, LAB, site(), LAB.workers[0]).join, tmp_path, {})
    assert (done.returncode != 0, done.stdout) == (True, "")
    assert "the join credential is missing" in done.stderr


def test_a_release_with_all_images_leaves_no_phase_out() -> None:
    assert Kubeadm(V1_20_2, LAB, site(), LAB.nodes[0]).phases == "--skip-phases addon/coredns"
    assert Kubeadm(replace(V1_20_2, dns=True), LAB, site(), LAB.nodes[0]).phases == ""
