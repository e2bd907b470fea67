"""``./inv test``: static checks and tests of the project itself."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lab import console
from lab.context import FOLDER
from lab.errors import ExitStatus


def run(*, fast: bool, everything: bool) -> None:
    """Run the checks one after another, all of them, and say at the end which failed."""
    failed = []
    for name, argv in checks(fast=fast, everything=everything):
        started = time.monotonic()
        console.say(f"── {name}", "bold")
        ok = subprocess.run(argv, cwd=FOLDER, check=False).returncode == 0
        console.say(
            f"   {name}: {'good' if ok else 'FAILED'}, {time.monotonic() - started:.1f} s",
            "green" if ok else "red bold",
        )
        if not ok:
            failed.append(name)
    if failed:
        console.say(f"failed: {', '.join(failed)}", "red bold")
        raise SystemExit(ExitStatus.FAIL)


def checks(*, fast: bool, everything: bool) -> list[tuple[str, Sequence[str]]]:
    """Every check with its command line. Pure tests share the processors; live ones have the host to themselves."""
    python = [sys.executable, "-m"]
    shell = [str(path.relative_to(FOLDER)) for path in shell_files(FOLDER)]
    found: list[tuple[str, Sequence[str]]] = [
        ("ruff check", [*python, "ruff", "check", "."]),
        ("ruff format", [*python, "ruff", "format", "--check", "."]),
        ("mypy", [*python, "mypy"]),
        ("shellcheck", ["shellcheck", "--shell=bash", "--severity=style", *shell]),
        ("pure tests", [*python, "pytest", "-q", "-n", "auto", "-m", "not live and not long"]),
    ]
    if not fast:
        found.append(("live tests", [*python, "pytest", "-v", "--durations=10", "-m", "live and not long"]))
    if everything:
        found.append(("long tests", [*python, "pytest", "-v", "--durations=10", "-m", "long"]))
    return found


def shell_files(folder: Path) -> list[Path]:
    """Every plain shell script of the project (rendered ones are checked by the tests of the plan)."""
    return sorted(
        [folder / "inv", folder / ".ci" / "run", *folder.glob("lab/**/*.sh"), *folder.glob("provision/**/*.sh")]
    )
