"""What all tests share: the switch that renews golden files, and the definitions that come with the project."""

from __future__ import annotations

import difflib
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent


# A shell starts its background jobs with interrupts ignored, nohup with hangups, and so would be every command that a
# test interrupts. (What is handled here, as little as it may be, is not ignored there.)
signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``pytest --update-golden`` takes what is rendered now as expected: look at the difference, then commit."""
    parser.addoption("--update-golden", action="store_true", help="renew the golden files")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, dict[str, str]], None]:
    """Compare texts, by name, with the files of a folder: each must be there and equal, and no other may be."""

    def compare(folder: Path, texts: dict[str, str]) -> None:
        if request.config.getoption("--update-golden"):
            _renew(folder, texts)
        there = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
        complaints = [f"{name}: has no golden file" for name in sorted(texts.keys() - there)]
        complaints += [f"{name}: has a golden file, but is rendered no longer" for name in sorted(there - texts.keys())]
        for name in sorted(there & texts.keys()):
            expected = (folder / name).read_text()
            if expected != texts[name]:
                lines = difflib.unified_diff(
                    expected.splitlines(), texts[name].splitlines(), "golden", "now", lineterm=""
                )
                complaints.append(f"{name}:\n" + "\n".join(lines))
        assert not complaints, "\n".join([*complaints, "right as it is now? pytest --update-golden"])

    return compare


def _renew(folder: Path, texts: dict[str, str]) -> None:
    for file in [file for file in folder.rglob("*") if file.is_file()]:
        if str(file.relative_to(folder)) not in texts:
            file.unlink()
    for name, text in texts.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
