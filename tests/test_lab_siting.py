"""What a new lab is made of, and what of it must be built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from listening import Deaf

from lab import siting
from lab.definition import parse
from lab.identity import Identity
from lab.plan.site import Site
from lab.providers.libvirt.siting import Hypervisor
from lab.stage import Stage
from lab.timeline import Timeline

PUBLIC = parse("machine: {box: {name: a/b, version: '1'}}\nnodes: [{name: m1, role: master}]")
PAYLOAD = Path("/cache/payload")


@pytest.mark.parametrize(
    ("stage", "payload"),
    [
        (Stage.MACHINES, ""),
        (Stage.LOADBALANCER, ""),
        (Stage.CONTROL_PLANE, str(PAYLOAD)),
        (Stage.WORKERS, str(PAYLOAD)),
    ],
)
@pytest.mark.parametrize("driver", ["kvm", "qemu"])
def test_a_public_box_without_kubernetes_needs_nothing_built(
    stage: Stage, payload: str, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: object, **__: object) -> Mapping[str, str]:
        raise AssertionError("a box was built")

    found = Hypervisor("system", driver, "qemu:///system", "", ())
    monkeypatch.setattr(siting.hypervisors, "choose", lambda definition: found)
    monkeypatch.setattr(siting, "_payload", lambda *_, **__: PAYLOAD)
    monkeypatch.setattr(siting.libvirt_box, "build", build)
    site: Site = siting.make_site(PUBLIC, Identity("ha", Path("/x")), "libvirt", stage, Timeline(Deaf()), refresh=False)
    assert site.payload == payload
    assert (site.box_name, site.image) == ("a/b", "")
