"""The stand-in for crictl answers what kubeadm 1.20 asks, over a containerd client that is played here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

CRICTL = Path(__file__).parents[2] / "provision/kubernetes/crictl"

CTR = r"""#!/bin/sh
# Plays ctr: one pod "p1" (uid u1) with one container "c1"; both run. Calls that change something are written down.
[ "$1" = version ] && exit "${CTR_DEAD:-0}"
[ "$1 $2" = "--namespace k8s.io" ] || { echo "outside of the namespace: $*" >&2; exit 9; }
shift 2
case "$*" in
  "images list --quiet name==here:1") echo here:1 ;;
  "images list --quiet name=="*) ;;
  "images list --quiet") echo here:1 ;;
  'containers list --quiet labels."io.cri-containerd.kind"==sandbox') echo p1 ;;
  'containers list --quiet labels."io.kubernetes.pod.uid"==u1') printf 'p1\nc1\n' ;;
  "containers info p1") printf '{\n   "io.kubernetes.pod.name": "x",\n   "io.kubernetes.pod.uid": "u1"\n}\n' ;;
  "tasks list") printf 'TASK PID STATUS\np1 10 RUNNING\nc1 11 RUNNING\n' ;;
  "tasks delete"* | "containers delete"*) echo "$*" >> "$CTR_LOG" ;;
  *) echo "not played: $*" >&2; exit 9 ;;
esac
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    ctr = tmp_path / "ctr"
    ctr.write_text(CTR)
    ctr.chmod(0o755)
    (tmp_path / "log").touch()
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CTR_LOG": str(tmp_path / "log")}


# The very command lines of kubeadm 1.20 (cmd/kubeadm/app/util/runtime/runtime.go).
ENDPOINT = ("-r", "/run/containerd/containerd.sock")


@pytest.mark.parametrize(
    ("arguments", "status", "said", "changed"),
    [
        ((*ENDPOINT, "info"), 0, "{}", []),
        ((*ENDPOINT, "inspecti", "here:1"), 0, '"here:1"', []),
        ((*ENDPOINT, "inspecti", "gone:1"), 1, 'no such image "gone:1"', []),
        ((*ENDPOINT, "pull", "here:1"), 0, "up to date", []),
        ((*ENDPOINT, "pull", "gone:1"), 1, "the lab pulls none", []),
        ((*ENDPOINT, "pods", "-q"), 0, "p1", []),
        ((*ENDPOINT, "stopp", "p1"), 0, "", ["tasks delete --force p1", "tasks delete --force c1"]),
        (
            (*ENDPOINT, "rmp", "p1"),
            0,
            "",
            [
                "tasks delete --force p1",
                "containers delete p1",
                "tasks delete --force c1",
                "containers delete c1",
            ],
        ),
        (("images",), 0, "here:1", []),
        (("exec", "c1", "sh"), 2, "exec is not supported", []),
        ((), 2, "no command", []),
    ],
)
def test_what_is_asked_is_answered(
    environment: dict[str, str], arguments: tuple[str, ...], status: int, said: str, changed: list[str]
) -> None:
    result = subprocess.run([CRICTL, *arguments], env=environment, capture_output=True, text=True)
    assert result.returncode == status, result.stderr
    assert said in result.stdout + result.stderr
    assert Path(environment["CTR_LOG"]).read_text().splitlines() == changed


def test_a_runtime_that_does_not_answer_is_an_error(environment: dict[str, str]) -> None:
    result = subprocess.run([CRICTL, "info"], env={**environment, "CTR_DEAD": "1"}, capture_output=True)
    assert result.returncode != 0
