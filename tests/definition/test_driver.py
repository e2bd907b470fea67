"""What a definition leaves unset follows the driver of its machines; what it sets stays, and is warned about."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from yamltext import dump

from lab.definition import Definition, Severity, check, load, parse
from lab.definition.driver import TIMERS, Timer, followed, resolve, unkept
from lab.topology import derive

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
HA = CONFIGS / "ha.yaml"
DEFAULT = load(HA)

NODES = "nodes: [{name: m1, role: master}, {name: m2, role: master}, {name: w1, role: worker}]\n"

#: The timers of the default lab on emulated machines, with which it was seen healthy on two cores.
EMULATED = {
    "keepalived.advert_interval": 1,
    "keepalived.hang_check.interval": 10,
    "keepalived.hang_check.timeout": 5,
    "haproxy.timeouts.connect": 2,
    "haproxy.timeouts.check": 4,
    "haproxy.check.inter": 3,
}


def flat(data: Any, path: str = "") -> dict[str, Any]:
    """Each value of a definition by its field."""
    if not isinstance(data, dict):
        return {path: data}
    return {
        field: value
        for name, inner in data.items()
        for field, value in flat(inner, f"{path}.{name}" if path else name).items()
    }


def values(definition: Definition) -> dict[str, Any]:
    """The same of a whole definition."""
    return flat(definition.model_dump(mode="json"))


def setting(timer: Timer, value: float) -> Definition:
    """A definition that sets this timer, and what it takes that something runs by it."""
    sections, _, name = timer.field.rpartition(".")
    inner: dict[str, Any] = {name: value}
    if sections.endswith("detection"):
        inner["how"] = "script"
    if timer.within:
        inner["interval"] = 60
    for section in reversed(sections.split(".")):
        inner = {section: inner}
    return parse(NODES + dump(inner))


@pytest.mark.parametrize("driver", ["", "kvm"])
@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_containers_and_kvm_have_what_a_definition_says_and_the_usual_defaults(file: Path, driver: str) -> None:
    definition = load(file)
    assert values(resolve(definition, driver)) == values(definition)
    assert followed(definition, driver) == {}
    assert list(unkept(definition, driver)) == []


def test_the_default_definition_leaves_its_timers_to_the_driver_and_nothing_else() -> None:
    before, after = values(DEFAULT), values(resolve(DEFAULT, "qemu"))
    assert followed(DEFAULT, "qemu") == EMULATED
    assert {field: after[field] for field in EMULATED} == EMULATED
    assert {field for field in after if after[field] != before[field]} == {timer.field for timer in TIMERS}
    assert list(unkept(DEFAULT, "qemu")) == []
    assert [node.cpus for node in derive(DEFAULT, "qemu").nodes] == [1, 1, 1, 1]


@pytest.mark.parametrize("timer", TIMERS, ids=lambda timer: timer.field)
def test_a_timer_that_is_set_stays_and_is_warned_about_where_it_cannot_be_kept(timer: Timer) -> None:
    usual = values(DEFAULT)[timer.field]
    definition = setting(timer, usual)
    resolved = resolve(definition, "qemu")
    assert values(resolved)[timer.field] == usual
    assert timer.field not in followed(definition, "qemu")
    (warning,) = unkept(resolved, "qemu")
    assert (warning.path, warning.severity) == (timer.field, Severity.WARNING)
    assert f"{usual:g} s is shorter than emulated machines keep" in warning.wrong
    assert list(unkept(setting(timer, timer.least), "qemu")) == []


def test_what_nothing_runs_by_is_neither_told_nor_warned_about() -> None:
    definition = parse(NODES + "keepalived: {hang_check: {enabled: false, interval: 1}, detection: {interval: 1}}\n")
    assert not [field for field in followed(definition, "qemu") if "hang_check" in field or "detection" in field]
    assert list(unkept(definition, "qemu")) == []


def test_an_unset_timeout_fits_into_the_interval_that_is_set() -> None:
    resolved = resolve(parse(NODES + "keepalived: {hang_check: {interval: 3}}\n"), "qemu")
    assert values(resolved)["keepalived.hang_check.timeout"] == 3
    assert [problem for problem in check(resolved) if problem.severity is Severity.ERROR] == []


def test_resolving_twice_changes_nothing_more() -> None:
    once = resolve(DEFAULT, "qemu")
    assert values(resolve(once, "qemu")) == values(once)
    assert followed(once, "qemu") == followed(DEFAULT, "qemu")


def test_emulated_machines_have_one_processor_whatever_is_set_and_that_is_said() -> None:
    nodes = "nodes: [{name: m1, role: master}, {name: w1, role: worker, cpus: 4}]\n"
    definition = parse(nodes + "machine: {cpus: 2}\n")
    assert [node.cpus for node in derive(definition, "qemu").nodes] == [1, 1]
    assert [problem.path for problem in unkept(definition, "qemu")] == ["machine.cpus", "nodes[1].cpus"]
    assert [node.cpus for node in derive(definition, "kvm").nodes] == [2, 4]
    assert list(unkept(parse(nodes.replace("4", "1") + "machine: {cpus: 1}\n"), "qemu")) == []


def test_the_default_definition_tells_in_comments_what_follows_the_driver() -> None:
    """Each field that is commented out says both its usual value and that of emulated machines; both are true."""
    comment = re.compile(r"^( *)# (\w+): ([\d.]+) +# emulated: ([\d.]+)", re.MULTILINE)
    text = HA.read_text()
    usual = parse(comment.sub(r"\1\2: \3  #", text))
    emulated = parse(comment.sub(r"\1\2: \4  #", text))
    assert values(usual) == values(DEFAULT)
    assert len(comment.findall(text)) == len(EMULATED) + 1
    assert {field: values(emulated)[field] for field in EMULATED} == EMULATED
    assert emulated.machine.cpus == 1
    assert followed(usual, "qemu") == {}
