"""``./inv test``: static checks and tests of the project itself."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lab import console
from lab.errors import ExitStatus
from lab.interrupts import Open, held, unbroken, waiting
from lab.project import FOLDER

#: Seconds in which interrupted tests end what they started; a lab is destroyed in less than ten.
REMOVAL_SECONDS = 120.0


def run(*, fast: bool, everything: bool) -> None:
    """Run the checks one after another, all of them, and say at the end which failed."""
    failed = []
    for name, argv in checks(fast=fast, everything=everything):
        started = time.monotonic()
        console.say(f"── {name}", "bold")
        ok = _carry_out(argv)
        console.say(
            f"   {name}: {'good' if ok else 'FAILED'}, {time.monotonic() - started:.1f} s",
            "green" if ok else "red bold",
        )
        if not ok:
            failed.append(name)
    if failed:
        console.say(f"failed: {', '.join(failed)}", "red bold")
        raise SystemExit(ExitStatus.FAIL)


def _carry_out(argv: Sequence[str]) -> bool:
    """Run one check to its end: is it good? An interrupt is handed on to it, once, and then it removes what it made."""
    with held(lambda: [Open("what the tests have made", "the next ./inv test removes it")]):
        process = subprocess.Popen(argv, cwd=FOLDER, start_new_session=True)  # a terminal's Ctrl-C is for this program
        try:
            with waiting():
                return process.wait() == 0
        except KeyboardInterrupt:
            with unbroken():
                process.send_signal(signal.SIGINT)
                process.wait(REMOVAL_SECONDS)
            raise
        finally:
            if process.poll() is None:
                process.kill()


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
