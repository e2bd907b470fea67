"""libvirt's own test driver: the real library, no machine behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypervisor import HOST, SUBNET

from lab.identity import Identity
from lab.plan.virtual import Virtual, management_subnet
from lab.providers.libvirt import connection as virt


@pytest.fixture
def virtual(tmp_path: Path) -> Virtual:
    """A lab's side of the hypervisor."""
    identity, numbers = Identity("ha", tmp_path), {"m1": 0, "m2": 1, "m3": 2}
    return Virtual(identity, "private", "qemu", "qemu:///system", management_subnet(identity, [SUBNET]), numbers)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Any]:
    """A hypervisor on which somebody else has a machine and a network."""
    (tmp_path / "host.xml").write_text(HOST)
    with virt.connect(f"test://{tmp_path}/host.xml") as connection:
        yield connection
