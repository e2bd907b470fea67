"""Leases of leader election, as client-go writes them."""

from __future__ import annotations


def holder_host(identity: str) -> str:
    """The host part of a lease's holder ("host_uuid"): only that tells whether the holder moved to another machine.

    Pure; "" for nobody's.
    """
    return identity.rpartition("_")[0] or identity
