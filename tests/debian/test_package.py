"""One package of Debian 12 for a later Debian: by apt, from the host's own mirror, with Python's own library alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import needs
import pytest
from serving import mirror

from lab.command import CommandError
from lab.debian import package
from lab.debian.sources import AptError

FOLDER = Path(__file__).parents[2]


@needs.apt
def test_it_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mirror() as source:
        monkeypatch.setattr(package, "configured", lambda: [source])
        assert package.fetch("vagrant-lxc", tmp_path).name == "vagrant-lxc_1.4.3-3_all.deb"


@needs.apt
@pytest.mark.parametrize(("name", "cut"), [("vagrant-lxc", (".deb",)), ("vagrant", ())])
def test_a_mirror_that_does_not_give_it_is_named(
    name: str, cut: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mirror(cut) as source:
        monkeypatch.setattr(package, "configured", lambda: [source])
        with pytest.raises(CommandError, match=f"apt-get --quiet download {name}"):
            package.fetch(name, tmp_path)


@needs.apt
def test_a_host_without_a_source_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise AptError("no source of Debian 12", "add a mirror")

    monkeypatch.setattr(package, "configured", none)
    with pytest.raises(AptError):
        package.fetch("vagrant-lxc", tmp_path)


def test_it_needs_no_virtual_environment(tmp_path: Path) -> None:
    """-S: no site-packages. -I would forget PYTHONPATH too."""
    argv = [sys.executable, "-P", "-S", "-c", "import lab.debian.package, sys; print(*sorted(sys.modules))"]
    done = subprocess.run(argv, env={"PYTHONPATH": str(FOLDER)}, cwd=tmp_path, capture_output=True, text=True)
    assert "lab.debian.package" in done.stdout, done.stderr
    assert {name.partition(".")[0] for name in done.stdout.split()} <= {*sys.stdlib_module_names, "lab", "__main__"}
