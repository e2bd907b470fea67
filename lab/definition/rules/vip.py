"""Rules about the VIP: does it move when it must, to one master only, and back again?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from lab.definition import vrrp
from lab.definition.defaults import priorities
from lab.definition.models import Definition
from lab.definition.problem import Problem, Severity
from lab.model.functions import Function

WEIGHT = "keepalived.detection.weight"


def _ranked(definition: Definition) -> list[tuple[int, str]]:
    """The masters' priorities, best first, each with the path of its node."""
    found = [
        (priority, f"nodes[{index}]") for index, priority in enumerate(priorities(definition)) if priority is not None
    ]
    return sorted(found, key=lambda pair: -pair[0])


def _path(definition: Definition, node: str) -> str:
    """The field that a problem with a node's priority is about: the priority, when it is written at all."""
    index = int(node[len("nodes[") : -1])
    return f"{node}.priority" if "priority" in definition.nodes[index].model_fields_set else node


def worker_priority(definition: Definition) -> Iterator[Problem]:
    """Only load balancers take part in the election."""
    for index, node in enumerate(definition.nodes):
        if node.priority is not None and Function.LOAD_BALANCER not in node.functions:
            wrong = "a worker never holds the VIP"
            yield Problem(f"nodes[{index}].priority", wrong, "no priority for a worker", also=(f"nodes[{index}].role",))


def races(definition: Definition) -> Iterator[Problem]:
    """Successive backups are far enough apart that only one takes over."""
    keepalived = definition.keepalived
    unit = 1.0 if keepalived.vrrp_version == 2 else keepalived.advert_interval
    apart = round(vrrp.SAFE_SKEW_GAP * 256 / unit + 0.499)
    right = f"priorities at least {apart} apart" if apart <= 200 else "a longer advert_interval"
    also = ("nodes", "keepalived.vrrp_version", "keepalived.advert_interval", WEIGHT)
    for (better, first), (worse, second) in pairwise(_ranked(definition)):
        path = _path(definition, second)
        one, other = vrrp.well(better, keepalived), vrrp.well(worse, keepalived)
        gap = vrrp.skew(other, keepalived) - vrrp.skew(one, keepalived)
        if better == worse:
            wrong = f"priority {worse} is also that of {first}: both take over at once, and the higher address wins"
            yield Problem(path, wrong, right, Severity.WARNING, also=also)
        elif one == other:
            wrong = f"priorities {better} and {worse} both become {one} with the weight: both take over at once"
            yield Problem(path, wrong, "a smaller weight, or lower priorities", Severity.WARNING, also=also)
        elif gap < vrrp.SAFE_SKEW_GAP - 1e-9:
            wrong = (
                f"its skew is {gap * 1000:.0f} ms behind that of {first} (priorities {better} and {worse}): "
                f"under {vrrp.SAFE_SKEW_GAP * 1000:.0f} ms both may take over"
            )
            yield Problem(path, wrong, right, Severity.WARNING, also=also)


def moves(definition: Definition) -> Iterator[Problem]:
    """A master that loses haproxy falls behind the next one, and the last one can still be reached."""
    keepalived, weight = definition.keepalived, definition.keepalived.detection.weight
    ranked = [priority for priority, _ in _ranked(definition)]
    if len(ranked) < 2 or vrrp.faults(keepalived):
        return
    also = ("nodes", "keepalived.detection.how")
    if keepalived.detection.how == "track_file" and weight > 0:
        return  # said by `weights`
    best, second, last = ranked[0], ranked[1], ranked[-1]
    if vrrp.unwell(best, keepalived) >= vrrp.well(second, keepalived):
        wrong = (
            f"with {weight:+d} the VIP never moves: a master of priority {best} without haproxy counts "
            f"{vrrp.unwell(best, keepalived)}, the next one {vrrp.well(second, keepalived)}"
        )
        ways = ["0 (it leaves at once)"]
        if second > vrrp.LOWEST:
            ways.append(f"below {second - best}")
        if keepalived.detection.how == "script" and best < vrrp.HIGHEST:
            ways.append(f"above {best - second}")
        yield Problem(WEIGHT, wrong, ", or ".join(ways), also=also)
    elif vrrp.unwell(best, keepalived) >= vrrp.well(last, keepalived):
        wrong = (
            f"with {weight:+d} the VIP never reaches the master of priority {last}: one of priority {best} without "
            f"haproxy still counts {vrrp.unwell(best, keepalived)}, that one {vrrp.well(last, keepalived)}"
        )
        yield Problem(WEIGHT, wrong, f"priorities less than {abs(weight)} apart", Severity.WARNING, also=also)


def weights(definition: Definition) -> Iterator[Problem]:
    """The weight suits the way in which haproxy's end is noticed."""
    detection = definition.keepalived.detection
    if detection.how == "track_file" and detection.weight > 0:
        wrong = f"{detection.weight:+d} with a tracked file would raise the priority of a master without haproxy"
        yield Problem(WEIGHT, wrong, "0, or a negative weight", also=("keepalived.detection.how",))
    if detection.how == "script" and detection.weight == -254:
        yield Problem(
            WEIGHT, "-254 is out of keepalived's range for scripts", "-253 to 253", also=("keepalived.detection.how",)
        )
    if detection.how == "script" and detection.test == "apiserver" and detection.weight == 0:
        yield Problem(
            "keepalived.detection.test",
            "with weight 0 all masters are in FAULT until an apiserver answers, and kubeadm init needs the VIP",
            "answers or listening, or a weight",
            also=(WEIGHT, "keepalived.detection.how"),
        )


def preemption(definition: Definition) -> Iterator[Problem]:
    """Without preemption nothing but FAULT makes a holder give the VIP up."""
    keepalived = definition.keepalived
    if keepalived.preempt:
        return
    if not vrrp.faults(keepalived):
        wrong = "without preemption a lower priority never costs the holder the VIP: with this weight it never moves"
        yield Problem("keepalived.preempt", wrong, "preempt: true, or weight: 0", also=(WEIGHT,))
    if keepalived.state == "MASTER":
        wrong = "keepalived ignores it for a machine that starts as MASTER"
        yield Problem("keepalived.preempt", wrong, "state: BACKUP", also=("keepalived.state",))


def initial_state(definition: Definition) -> Iterator[Problem]:
    """All BACKUP elects cleanly."""
    if definition.keepalived.state == "MASTER":
        wrong = "the first master claims the VIP before it has listened: one more move at every start"
        yield Problem("keepalived.state", wrong, "BACKUP", Severity.WARNING)


def timers(definition: Definition) -> Iterator[Problem]:
    """Timers that the protocol and keepalived can express."""
    keepalived = definition.keepalived
    interval = keepalived.advert_interval
    path = "keepalived.advert_interval"
    if keepalived.vrrp_version == 2 and not interval.is_integer():
        right = "whole seconds, or vrrp_version: 3"
        yield Problem(
            path, f"VRRP version 2 knows whole seconds only, not {interval:g}", right, also=("keepalived.vrrp_version",)
        )
    if keepalived.vrrp_version == 3 and abs(interval * 100 - round(interval * 100)) > 1e-6:
        right = f"{max(1, round(interval * 100)) / 100:g}"
        yield Problem(path, f"VRRP version 3 counts hundredths of a second, not {interval:g}", right)
    used = {
        "keepalived.hang_check": keepalived.hang_check if keepalived.hang_check.enabled else None,
        "keepalived.detection": keepalived.detection if keepalived.detection.how == "script" else None,
    }
    for where, runs in used.items():
        if runs is not None and runs.timeout > runs.interval:
            wrong = f"{runs.timeout} s is longer than the interval of {runs.interval} s: runs would pile up"
            yield Problem(f"{where}.timeout", wrong, f"at most {runs.interval}", also=(f"{where}.interval",))


def hanging(definition: Definition) -> Iterator[Problem]:
    """A haproxy that runs but does not react is noticed by something."""
    keepalived = definition.keepalived
    detection = keepalived.detection
    if keepalived.hang_check.enabled or (detection.how == "script" and detection.test != "listening"):
        return
    wrong = "nothing notices a haproxy that hangs, it holds its port and with it the VIP: haproxy-hang must fail"
    yield Problem("keepalived.hang_check.enabled", wrong, "true", Severity.WARNING, also=("keepalived.detection",))


RULES = (worker_priority, races, moves, weights, preemption, initial_state, timers, hanging)
