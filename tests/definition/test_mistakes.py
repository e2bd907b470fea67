"""Every mistake is answered with its field, what is wrong and what would be right; all of them at once."""

from __future__ import annotations

import copy
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.nodes import Node
from yamltext import dump

from lab.definition import DefinitionError, Problem, Severity, check, load, parse, written
from lab.definition.load import LARGEST
from lab.definition.source import MOST
from lab.project import definition_file

REMOVE = object()

GOOD: dict[str, Any] = {
    "name": "ha",
    "network": {"subnet": "10.21.0.0/24", "vip": "10.21.0.100", "port": 16443},
    "nodes": [
        {"name": "master1", "role": "master", "address": "10.21.0.11"},
        {"name": "master2", "role": "master", "address": "10.21.0.12"},
        {"name": "master3", "role": "master", "address": "10.21.0.13"},
        {"name": "worker1", "role": "worker", "address": "10.21.0.14"},
    ],
}


class _Constructor(SafeConstructor):
    """Knows ``!remove``, the mark for a field that is taken out."""


def _removed(_: SafeConstructor, __: Node) -> object:
    return REMOVE


_Constructor.add_constructor("!remove", _removed)


def _cases() -> list[dict[str, Any]]:
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    cases: list[dict[str, Any]] = yaml.load(Path(__file__).with_name("mistakes.yaml"))
    return cases


def changed(path: str, value: Any, data: dict[str, Any]) -> None:
    """Set the field at ``path`` (or take it out), making the sections on the way."""
    parts = [int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", path)]
    place: Any = data
    for part in parts[:-1]:
        place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
    last = parts[-1]
    if value is REMOVE:
        del place[last]
    elif isinstance(place, list) and last == len(place):
        place.append(value)
    else:
        place[last] = value


def problems(text: str) -> list[Problem]:
    """All that is said about a text, errors and warnings."""
    try:
        return check(parse(text))
    except DefinitionError as error:
        return list(error.problems)


CASES = _cases()


def test_the_definition_that_mistakes_are_put_into_is_good() -> None:
    assert problems(dump(GOOD)) == []


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_mistake(case: dict[str, Any]) -> None:
    text = case.get("text")
    if text is None:
        data = copy.deepcopy(GOOD)
        for path, value in case["change"].items():
            changed(path, value, data)
        text = dump(data)
    said = problems(text)
    wanted = case["problems"]
    listing = "\n".join(str(problem) for problem in said)
    assert sorted(problem.path for problem in said) == sorted(want["path"] for want in wanted), listing
    for want in wanted:
        severity = Severity(want.get("severity", "error"))
        fitting = [
            problem
            for problem in said
            if problem.path == want["path"]
            and want["wrong"] in problem.wrong
            and want.get("right", "") in problem.right
            and problem.severity is severity
        ]
        assert len(fitting) == 1, f"{want} not in\n{listing}"
        assert fitting[0].right, f"{want}: no word about what would be right"
        if severity is Severity.ERROR and want["path"] in case.get("change", {}):
            assert fitting[0].line or fitting[0].wrong == "is missing", f"{want}: no line"


def test_all_mistakes_stand_in_one_message_with_line_and_advice() -> None:
    text = "name: Ha\nnetwork:\n  port: 70000\nnodes:\n- name: a\n  role: master\n  priority: 300\n"
    with pytest.raises(DefinitionError) as caught:
        parse(text, "my.yaml")
    lines = str(caught.value).splitlines()
    assert lines[0] == "my.yaml: 3 mistakes"
    assert lines[1].startswith('  name (line 1): "Ha" is not allowed; right: ')
    assert lines[2] == "  network.port (line 3): 70000 is out of range; right: a whole number from 1 to 65535"
    assert lines[3].startswith("  nodes[0].priority (line 7): 300 is out of range; right: ")
    assert caught.value.status == 64


def test_a_file_that_cannot_be_read_is_a_wrong_definition(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path, said in ((tmp_path / "none.yaml", "no such file"), (tmp_path, "directory"), (binary, "no UTF-8")):
        with pytest.raises(DefinitionError, match=said):
            load(path)


def test_half_a_character_is_said_with_its_line() -> None:
    with pytest.raises(DefinitionError) as caught:
        parse('name: ha\nnodes:\n- role: master\n  name: "\\ud800"\n', "my.yaml")
    assert "nodes[0].name (line 4): " in str(caught.value)


def test_no_more_than_a_definition_is_read(tmp_path: Path) -> None:
    """Of a device it is not known beforehand how much there is."""
    large = tmp_path / "large.yaml"
    large.write_text("#" * (LARGEST + 1))
    for path in (Path("/dev/zero"), large):
        with pytest.raises(DefinitionError, match="larger than a megabyte"):
            load(path)
    large.write_text("# \r\n" + dump(GOOD).replace("\n", "\r\n"))
    assert load(large).name == "ha"
    assert "\r" not in written(large)


def test_a_path_that_leads_to_no_file_is_a_wrong_definition(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for path, said in ((str(tmp_path / "loop"), "symbolic links"), ("x" * 5000, "name too long")):
        with pytest.raises(DefinitionError, match=said):
            load(definition_file(path))


LEVELS = "abcdefghij"


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{name}: &{name} [{', '.join([f'*{of}'] * 9)}]\n" for of, name in pairwise(LEVELS)),
        "a: &a {x: 1, y: 2, z: 3}\n"
        + "".join(f"{name}: &{name} {{x: *{of}, y: *{of}, z: *{of}}}\n" for of, name in pairwise(LEVELS)),
        f"a: [{', '.join('x' * MOST)}]\n",
    ],
)
def test_aliases_that_come_to_more_than_anybody_writes_are_refused_at_once(text: str) -> None:
    with pytest.raises(DefinitionError, match=rf"more than {MOST} values") as caught:
        parse(text)
    assert "alias" in str(caught.value)


def test_an_alias_is_good_for_what_nodes_have_in_common() -> None:
    text = "nodes:\n- &a {name: a, role: master, cpus: 4}\n- {<<: *a, name: b}\n- {<<: *a, name: c}\n"
    assert [node.cpus for node in parse(text).nodes] == [4, 4, 4]


@pytest.mark.parametrize("section", ["network", "machine", "keepalived", "haproxy", "kubernetes", "libvirt"])
def test_a_section_with_everything_commented_out_means_its_defaults(section: str) -> None:
    assert parse(dump(GOOD) + ("" if section == "network" else f"{section}:\n  # nothing\n"))
