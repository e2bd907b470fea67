"""How far ``up`` goes."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """The stages in their order: each contains those before it."""

    MACHINES = "machines"
    LOADBALANCER = "loadbalancer"
    CONTROL_PLANE = "control-plane"
    WORKERS = "workers"

    @property
    def order(self) -> int:
        """Its place in the row."""
        return list(Stage).index(self)

    @property
    def has_kubernetes(self) -> bool:
        """Does Kubernetes run when it is reached?"""
        return self.order >= Stage.CONTROL_PLANE.order
