"""What may know what: read from the imports of every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.project import FOLDER

LAB = FOLDER / "lab"


def imported(file: Path) -> Iterator[str]:
    """Every module, and every name in one, that a module takes from this project, wherever the import stands."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None, f"{file}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def found(folder: str, *forbidden: str) -> list[str]:
    """The modules below a folder of lab/ that import what lies below one of these."""
    return [
        f"{file.relative_to(LAB)}: {name}"
        for file in sorted((LAB / folder).rglob("*.py"))
        for name in imported(file)
        if any(f"{name}.".startswith(f"lab.{layer}.") for layer in forbidden)
    ]


#: The terminal, and what puts it together with everything else.
TERMINAL = ("console", "program", "cli", "commands")


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("commands", ("commands", "program")),
        ("cli", ("commands", "operations")),
        ("operations", TERMINAL),
        *((folder, (*TERMINAL, "operations")) for folder in ("bench", "cluster", "payload", "plan", "provisioning")),
        *((folder, (*TERMINAL, "operations")) for folder in ("providers", "report", "requirements", "verify")),
        *(
            (folder, (*TERMINAL, "operations"))
            for folder in ("faults", "kubernetes", "machines", "oracle", "box", "debian")
        ),
        ("model", (*TERMINAL, "operations", "plan", "providers", "requirements", "context", "state")),
        ("definition", (*TERMINAL, "operations", "plan", "providers", "requirements", "context", "state")),
    ],
)
def test_each_knows_only_what_lies_below_it(folder: str, forbidden: tuple[str, ...]) -> None:
    assert found(folder, *forbidden) == []


def test_the_host_knows_nothing_of_labs() -> None:
    taken = {
        name.split(".")[1] for file in (LAB / "host").glob("*.py") for name in imported(file) if name[:4] == "lab."
    }
    assert taken <= {"host", "errors"}


def test_a_task_calls_a_command_and_nothing_else() -> None:
    taken = {name for name in imported(FOLDER / "tasks.py") if name.startswith("lab")}
    assert taken and all(name.startswith("lab.commands.") for name in taken)


def test_a_command_that_takes_another_would_be_seen() -> None:
    assert "commands/up.py: lab.operations.changing.changing" in found("commands", "operations")
