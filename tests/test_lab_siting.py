"""What a new lab is made of, and what of it must be built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from listening import Deaf

from lab import siting
from lab.definition import parse
from lab.identity import Identity
from lab.plan.site import Box, VirtualSite
from lab.providers.libvirt.daemon import DaemonKind
from lab.providers.libvirt.probe import Driver
from lab.providers.libvirt.siting import Hypervisor
from lab.stage import Stage
from lab.timeline import Timeline

PUBLIC = parse("machine: {box: {name: a/b, version: '1'}}\nnodes: [{name: m1, role: master}]")
PAYLOAD = Path("/cache/payload")


@pytest.mark.parametrize(
    ("stage", "payload"),
    [
        (Stage.MACHINES, None),
        (Stage.LOADBALANCER, None),
        (Stage.CONTROL_PLANE, PAYLOAD),
        (Stage.WORKERS, PAYLOAD),
    ],
)
@pytest.mark.parametrize("driver", ["kvm", "qemu"])
def test_a_public_box_without_kubernetes_needs_nothing_built(
    stage: Stage, payload: Path | None, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: object, **__: object) -> Mapping[str, str]:
        raise AssertionError("a box was built")

    found = Hypervisor(DaemonKind("system", "it runs"), Driver(driver, "so it is"), "qemu:///system")
    monkeypatch.setattr(siting.hypervisors, "choose", lambda definition: found)
    monkeypatch.setattr(siting, "_payload", lambda *_, **__: PAYLOAD)
    monkeypatch.setattr(siting.libvirt_box, "build", build)
    identity = Identity("ha", Path("/x"))
    site = siting.make_site(PUBLIC, identity, "libvirt", stage, Timeline(Deaf()), refresh=False)
    assert isinstance(site, VirtualSite)
    assert site.payload == payload
    assert (site.box, site.image) == (Box("a/b", "1"), None)
