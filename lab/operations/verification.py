"""A lab as the cases see it, and whether it is one of which anything can be promised."""

from __future__ import annotations

from lab.context import Lab
from lab.drift import drift
from lab.verify.pace import pace_of
from lab.verify.view import LabView


def view(lab: Lab) -> LabView:
    """The lab as the cases see it."""
    return LabView(lab.topology, lab.machines, lab.provider, lab.state, lab.kubernetes, pace_of(lab.site.driver))


def doubt(lab: Lab) -> str:
    """Why nothing can be promised of a lab: it is not what its definition says; "" when it is."""
    found = drift(lab)
    if found and (other := lab.state.borrowed):
        found = f"an interrupted bench left the load balancer of {other}: {found}"
    return f"the lab is not what its definition says (./inv up mends that): {found}" if found else ""
