"""The lists of packages: README's commands find their programs on a host that has no more than these."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import needs
import pytest
from fresh import FOLDER, listed

#: What comes with the lab itself: the payload's own.
BROUGHT = {"kubectl"}


def entered() -> list[str]:
    """The programs that README and the commands' help name for ``./inv enter``."""
    texts = [(FOLDER / name).read_text() for name in ("README.md", "tasks.py", "Vagrantfile.j2")]
    found = {word for text in texts for word in re.findall(r"\./inv enter ([a-z]\S*)", text)}
    (row,) = re.findall(r"^\| `\./inv enter \[CMD\]` \|(.*)\|$", texts[0], re.MULTILINE)
    return sorted((found | set(re.findall(r"`([a-z]+)`", row))) - BROUGHT)


def test_readme_names_programs_to_enter_with() -> None:
    assert {"curl", "vagrant"} <= set(entered())


@needs.apt
@pytest.mark.parametrize("program", entered())
def test_what_is_named_for_enter_is_on_every_host_that_made_a_lab(program: str) -> None:
    needs.programs(program)
    path = Path(shutil.which(program) or "")
    owner = subprocess.run(["dpkg", "-S", str(path)], capture_output=True, text=True)
    assert owner.stdout.partition(":")[0] in listed("python", "common"), owner.stderr
