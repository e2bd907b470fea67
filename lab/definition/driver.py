"""The driver of a lab's machines (kvm, qemu; "" for containers), and the timers that follow it. Pure.

qemu is plain emulation: a processor of some hundred megahertz, on which a TLS handshake or the start of a script takes
tenths of a second at rest, and seconds beside other work. What a definition leaves unset is slower there; what it sets
stays, and is warned about where such a machine cannot keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeVar

from pydantic import BaseModel

from lab.definition.models import Definition
from lab.definition.problem import Problem, Severity

EMULATION = "qemu"

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Timer:
    """A timer whose default is too fast for emulated machines, all in seconds.

    ``emulated`` is what they get where it is not set, ``least`` the shortest that they keep. ``used`` tells whether
    anything runs by it; it must be no longer than the field ``within``.
    """

    field: str
    emulated: float
    least: float
    used: Callable[[Definition], bool] = lambda definition: True
    within: str = ""


def _asked_by_script(definition: Definition) -> bool:
    return definition.keepalived.detection.how == "script"


def _looked_for_hangs(definition: Definition) -> bool:
    return definition.keepalived.hang_check.enabled


#: Measured, four machines on two cores, at rest and beside other work (load 10 to 20): a script takes 0.24 and 2 s
#: (medians; 9 at most), a handshake with its answer 0.04 and 0.9 s (4), a connection 0.005 and 0.03 s (2.7). A look at
#: a backend costs 0.14 s of a processor: every second, haproxy took well ones for dead; every 1.5 s it did not. With
#: an advertisement every 0.2 s the VIP moved about under load, with one a second it stayed.
TIMERS = (
    Timer("keepalived.advert_interval", 1.0, 1.0),
    Timer("keepalived.detection.interval", 10, 3, _asked_by_script),
    Timer("keepalived.detection.timeout", 5, 3, _asked_by_script, "keepalived.detection.interval"),
    Timer("keepalived.hang_check.interval", 10, 3, _looked_for_hangs),
    Timer("keepalived.hang_check.timeout", 5, 3, _looked_for_hangs, "keepalived.hang_check.interval"),
    Timer("haproxy.timeouts.connect", 2.0, 1.0),
    Timer("haproxy.timeouts.check", 4.0, 2.0),
    Timer("haproxy.check.inter", 3.0, 1.5),
)


def resolve(definition: Definition, driver: str) -> Definition:
    """The definition as machines of this driver get it: their own timers where it sets none."""
    if driver != EMULATION:
        return definition
    for timer in unset(definition):
        longest = _value(definition, timer.within) if timer.within else timer.emulated
        definition = _with(definition, timer.field.split("."), min(timer.emulated, longest))
    return definition


def unset(definition: Definition) -> Iterator[Timer]:
    """The timers that a definition leaves to the driver."""
    return (timer for timer in TIMERS if not _is_set(definition, timer.field))


def followed(definition: Definition, driver: str) -> dict[str, float]:
    """Each timer in use whose value is the driver's and not the definition's own, in seconds."""
    settled = resolve(definition, driver)
    if driver != EMULATION:
        return {}
    return {timer.field: _value(settled, timer.field) for timer in unset(definition) if timer.used(definition)}


def unkept(definition: Definition, driver: str) -> Iterator[Problem]:
    """What a definition sets and machines of this driver cannot keep."""
    if driver != EMULATION:
        return
    for timer in TIMERS:
        value = _value(definition, timer.field)
        if _is_set(definition, timer.field) and timer.used(definition) and value < timer.least:
            wrong = f"{value:g} s is shorter than emulated machines keep, {timer.least:g} s at best"
            yield Problem(timer.field, wrong, f"{timer.emulated:g}, or unset: it follows the driver", Severity.WARNING)
    sizes = {"machine.cpus": definition.machine.cpus if _is_set(definition, "machine.cpus") else None}
    sizes |= {f"nodes[{index}].cpus": node.cpus for index, node in enumerate(definition.nodes)}
    for field, cpus in sizes.items():
        if cpus is not None and cpus > 1:
            wrong = f"{cpus} processors of an emulated machine would only wait for each other: it gets one"
            yield Problem(field, wrong, "unset: it follows the driver", Severity.WARNING)


def _is_set(definition: Definition, field: str) -> bool:
    """Does the definition itself say it?"""
    section: Any = definition
    for part in field.split("."):
        if part not in section.model_fields_set:
            return False
        section = getattr(section, part)
    return True


def _value(definition: Definition, field: str) -> float:
    found: float = reduce(getattr, field.split("."), definition)  # type: ignore[assignment]
    return found


def _with(section: Model, path: Sequence[str], value: float) -> Model:
    """The section with another value at ``path``, which stays unset."""
    name, *below = path
    new = _with(getattr(section, name), below, value) if below else value
    return type(section).model_construct(set(section.model_fields_set), **{**dict(section), name: new})
