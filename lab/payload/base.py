"""What every source of Kubernetes gives: a tree with the programs and the images of one version."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lab.cache import Cache, Entry
from lab.command import LineSink


@dataclass(frozen=True)
class Availability:
    """Can a source be used on this host, and why (not)?"""

    ok: bool
    why: str


class Payload(Protocol):
    """One source. Its tree: bin/{kubeadm,kubelet,kubectl,crictl,…} (static) and images/*.tar (one image each)."""

    @property
    def name(self) -> str:
        """What the definition calls it."""

    @property
    def version(self) -> str:
        """The version of Kubernetes that it has, with its v."""

    def available(self) -> Availability:
        """Can it be used here? Looks at this host only, downloads nothing."""

    def tree(self, cache: Cache) -> Entry:
        """Where the tree lies in the cache, whether it is built or not."""

    def space(self, cache: Cache, refresh: bool = False) -> int:
        """Bytes of disk that bringing it into the cache takes at its height, what is there already left out."""

    def prepare(self, cache: Cache, sink: LineSink, refresh: bool = False) -> Path:
        """Bring the tree into the cache and return its path. Raises LabError."""
