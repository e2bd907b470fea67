"""vagrant-lxc runs on Ruby's later versions too: the lab gives its own calls of Vagrant what they took away."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import needs
import pytest

from lab.providers.vagrant import RUBY_FOLDER, environment

#: As Ruby 3.2 and later: without the two methods, whatever Ruby this is.
LATER = "[File, Dir].each { |kind| kind.singleton_class.undef_method(:exists?) if kind.respond_to?(:exists?) }\n"

ASKS = "print File.exists?('/etc/passwd'), Dir.exists?('/etc/passwd'), Dir.exists?('/etc')"


def ruby(folder: Path, outer: dict[str, str], script: str = ASKS) -> str:
    """What the script prints in Vagrant's environment, on a Ruby that has the two methods no more."""
    needs.programs("ruby")
    (folder / "later.rb").write_text(LATER)
    outer = {"RUBYLIB": str(folder), "RUBYOPT": "-rlater", **outer}
    env = {**os.environ, **outer, **environment(folder, "lxc", outer)}
    return subprocess.run(["ruby", "-e", script], env=env, capture_output=True, text=True, check=True).stdout


def test_what_vagrant_lxc_asks_is_answered(tmp_path: Path) -> None:
    assert ruby(tmp_path, {}) == "truefalsetrue"


def test_so_it_is_in_a_clone_with_spaces_and_letters_of_any_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = shutil.copytree(RUBY_FOLDER, tmp_path / "mein Läb's" / "ruby")
    monkeypatch.setattr("lab.providers.vagrant.RUBY_FOLDER", elsewhere)
    assert ruby(tmp_path, {"LC_ALL": "C"}) == "truefalsetrue"


def test_where_they_are_there_they_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "own.rb").write_text("def File.exists?(path) = 'own'\n")
    assert ruby(tmp_path, {"RUBYOPT": "-rown"}, "print File.exists?('/')") == "own"


def test_what_the_person_gives_ruby_stays(tmp_path: Path) -> None:
    given = {"RUBYLIB": "/home/me/ruby:/other", "RUBYOPT": "-W0 -rset"}
    env = environment(tmp_path, "lxc", given)
    assert env["RUBYLIB"] == f"{RUBY_FOLDER}:/home/me/ruby:/other"
    assert env["RUBYOPT"] == "-W0 -rset -rfile_exists -rlxc_error"
