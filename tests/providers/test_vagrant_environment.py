"""What Vagrant is given besides its words."""

from __future__ import annotations

import subprocess
from pathlib import Path

import needs
import pytest

from lab.providers.vagrant import characters, environment

VAGRANTFILE = 'Vagrant.configure("2") { |config| config.vm.box = "a" }\n'


@pytest.mark.parametrize(
    ("outer", "given"),
    [
        ({}, "C.UTF-8"),
        ({"LANG": "C"}, "C.UTF-8"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, "C.UTF-8"),
        ({"LANG": "C", "LC_CTYPE": "POSIX"}, "C.UTF-8"),
        ({"LANG": "de_DE.ISO-8859-1"}, "C.UTF-8"),
        ({"LANG": "C.UTF-8"}, None),
        ({"LANG": "C", "LC_ALL": "en_US.utf8"}, None),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8", "LC_ALL": ""}, None),
    ],
)
def test_a_language_with_all_letters_is_kept(outer: dict[str, str], given: str | None) -> None:
    assert characters(outer).get("LC_ALL") == given


@pytest.mark.parametrize("language", ["C", "C.UTF-8"])
def test_vagrant_reads_a_folder_with_any_name(language: str, tmp_path: Path) -> None:
    needs.programs("vagrant")
    state = tmp_path / """mein "Läb" o'brien $HOME #{1} [a]* 100% \\b , ;&<c>|()! @=~"""
    state.mkdir()
    (state / "Vagrantfile").write_text(VAGRANTFILE)
    outer = {"PATH": "/usr/bin:/bin:/usr/sbin", "HOME": str(tmp_path), "LC_ALL": language}
    env = {**outer, **environment(state, "lxc", outer)}
    done = subprocess.run(["vagrant", "validate"], cwd="/", env=env, capture_output=True, text=True, timeout=120)
    assert (done.returncode, "successfully" in done.stdout) == (0, True), done.stdout + done.stderr
