"""``python -m lab.cli.needs WORDS``: the groups of packages that a call of ./inv needs beside Python, a line each.

``inv`` asks before every call, so that what an answer does not take is not imported: the most answers take nothing.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.errors import ExitStatus, LabError
from lab.project import FOLDER, definition_file

#: The commands that need more than the labs that there are; another that is in the words may be a value of theirs.
NEEDY = frozenset({"up", "bench", "test"})


def needs(words: Sequence[str], folder: Path = FOLDER) -> tuple[str, ...]:
    """The groups. Of what is wrong in the words or in the definition it says nothing: the command will."""
    found = dict.fromkeys(_used(folder))
    if NEEDY.intersection(words):
        for command, values in calls(words):
            with contextlib.suppress(LabError):
                found |= dict.fromkeys(_needs(command, values))
    return tuple(found)


def calls(words: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every command that the words call, with its options' values; none where they are wrong, or ask for help."""
    from invoke.exceptions import Exit, ParseError

    from lab.program import own_words, program

    own, _ = own_words(list(words))
    parser = program()
    with contextlib.redirect_stdout(io.StringIO()):  # --help and --list are told while the words are read
        try:
            parser.parse(["inv", *own])
        except (Exit, ParseError):
            return
    for call in parser.tasks:
        yield str(call.name), call.as_kwargs


def _needs(command: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Raises LabError where the definition or an option is wrong."""
    if command == "test":
        from lab.requirements.packages import TESTING

        return TESTING
    if command == "up" or (command, values.get("what")) == ("bench", "up"):
        return _making(values)
    return ()


def _making(values: Mapping[str, Any]) -> tuple[str, ...]:
    from lab.definition import load
    from lab.host.processor import kvm_may_work
    from lab.requirements.packages import making
    from lab.stage import Stage

    definition = load(definition_file(values["definition"]))
    stage = values.get("until", Stage.WORKERS)
    if stage not in list(Stage):
        return ()
    return making(definition, values["provider"] or definition.provider, Stage(stage), kvm=kvm_may_work())


def _used(folder: Path) -> tuple[str, ...]:
    """What the labs of this clone need, whatever is done with them: they keep their provider."""
    if any(_provider(site) == "libvirt" for site in folder.glob(".lab/*/site.json")):
        return ("libvirt",)
    return ()


def _provider(site: Path) -> str:
    """The provider of a lab, "" where its file is damaged: the commands say so."""
    try:
        return str(json.loads(site.read_text())["provider"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def main() -> int:
    """Tell the groups; the exit status is 0, or that of a fault of the program."""
    try:
        sys.stdout.write("".join(f"{group}\n" for group in needs(sys.argv[1:])))
    except KeyboardInterrupt:
        return int(ExitStatus.INTERRUPTED)
    except Exception:  # noqa: BLE001  inv has nobody else to tell it
        traceback.print_exc()
        return int(ExitStatus.FAULT)
    return int(ExitStatus.GOOD)


if __name__ == "__main__":
    sys.exit(main())
