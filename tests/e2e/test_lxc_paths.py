"""A clone and a cache that are called what people call folders: a lab comes up, is entered and goes away there."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from labs import made
from running import FOLDER, healthy

from lab.cache import Cache
from lab.kubernetes.release import DEFAULT
from lab.payload.debian import DebianPayload

pytestmark = pytest.mark.long

#: All that is not refused (lab.requirements.paths), and means something to a shell, Ruby, ssh, LXC, apt or mtools.
CLONE = """mein "Läb" o'brien $HOME `id` #{1} [a]* {x,y} 100% \\b ;&<c>|()! @=~"""
CACHE = """mein 'Cäche' $HOME `id` #{1} * 100% ;&<c>|()! @@=~"""

PAIR = """
name: e2e-paths
provider: lxc
nodes:
  - {name: left, role: master}
  - {name: right, role: master}
  - {name: hand, role: worker}
"""


def linked(source: Path, target: Path) -> None:
    """A second name for each file: an entry of the cache is whole by its files' sizes and times."""
    shutil.copytree(source, target, copy_function=os.link)


def test_a_lab_lives_in_a_clone_and_from_a_cache_with_any_name(
    containers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the box is built: it knows where it lies. Kubernetes does not, and compiling it takes minutes."""
    kept = Cache.default()
    kept.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.root.parent, prefix="halab-test-") as place:
        clone, cache = Path(place) / CLONE, Path(place) / CACHE
        left_out = shutil.ignore_patterns(".lab", ".git", "__pycache__", ".*_cache")
        shutil.copytree(FOLDER, clone, symlinks=True, ignore=left_out)
        payload = DebianPayload(DEFAULT)
        for entry in (payload.binaries(kept), payload.tree(kept)):
            if entry.ready:
                linked(entry.path, cache / entry.path.relative_to(kept.root))
        definition = Path(place) / "pair.yaml"
        definition.write_text(PAIR)
        monkeypatch.setenv("HALAB_CACHE", str(cache))
        with made("e2e-paths", definition, clone) as lab:
            lab.up("--until", "loadbalancer")
            assert healthy(lab.status())
            assert lab.on("right", "hostname").strip() == "right"
            assert "kubeadm" in lab.on("left", "ls /opt/payload/bin"), "the payload is mounted"
            assert ".seeded" in lab.on("hand", "ls -A /var/lib/containerd"), "the hook gave it its images"
            assert lab.on("left", "cat /proc/sys/vm/overcommit_memory").strip() == "1", "the shields are mounted"
            assert "nothing had to change" in lab.up("--until", "loadbalancer").out
            monkeypatch.setenv("LC_ALL", "C")  # Vagrant itself cannot read such a path then
            assert lab("enter", "vagrant", "status").out.count("running (lxc)") == 3
            assert healthy(lab.status())
        assert not any((cache / "labs").iterdir()), "nobody stands on the cache any more"
