"""Containers that stop at the load balancer: the VIP without a cluster, studied and broken; then the cluster comes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from labs import made
from running import healthy, names

pytestmark = pytest.mark.live

#: Two masters, so that the VIP can move; one worker, who measures.
PAIR = """
name: e2e-pair
provider: lxc
nodes:
  - {name: left, role: master}
  - {name: right, role: master}
  - {name: hand, role: worker}
"""

WHO = "curl --silent --insecure --max-time 5 --output /dev/null --dump-header - https://{}/readyz"


def test_the_vip_is_there_before_kubernetes_and_the_answerer_goes_when_it_comes(
    containers: None, tmp_path: Path
) -> None:
    definition = tmp_path / "e2e-pair.yaml"
    definition.write_text(PAIR)
    with made("e2e-pair", definition) as lab:
        assert "10.21.0.100:16443 answers" in lab.up("--until", "loadbalancer").out
        status = lab.status()
        assert healthy(status) and status["nodes"] == [] and status["holders"] == ["left"]
        who = WHO.format(status["endpoint"])
        assert "x-answered-by: " in lab.on("right", who).lower()

        # No cluster is needed for the VIP to move, nor for the figure beside the promise.
        lab("verify", "--case", "haproxy-stop", seconds=300)
        verdict = json.loads((lab.runs("verify")[-1] / "verdict.json").read_text())
        (outage,) = (v for v in verdict["cases"][0]["verdicts"] if v["check"] == "outage")
        assert outage["outcome"] == "pass" and outage["values"]["outage_s"] > 0

        lab.up()
        status = lab.status()
        assert healthy(status) and names(status, "nodes") == ["hand", "left", "right"]
        told = lab.on("right", who).lower()
        assert told.startswith("http/") and "x-answered-by" not in told, "an apiserver answers now"
        for node in ("left", "right"):
            assert lab.on(node, "systemctl is-enabled halab-answerer.service 2>&1", status=None).strip() != "enabled"
