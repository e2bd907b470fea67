"""What ``inv`` installs from an index is what its lists know by hash, whatever the index offers: with the real pip."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from fresh import FOLDER, TOOLS

#: A build backend (PEP 517) that puts one module with one word into a wheel of its own making.
BACKEND = """
import zipfile
def build_wheel(folder, settings=None, metadata=None):
    name = "bindings-1.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("bindings.py", "WORD = 'built'\\n")
        wheel.writestr("bindings-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: bindings\\nVersion: 1.0\\n")
        wheel.writestr("bindings-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\n")
        wheel.writestr("bindings-1.0.dist-info/RECORD", "")
    return name
"""

#: Asked in the place of the program: the bindings where there is a lab, the tests' tools for the tests.
NEEDS = """
import pathlib, sys
print(*["libvirt"] * pathlib.Path(__file__).parents[2].joinpath(".lab").exists(), *["test"] * ("test" in sys.argv))
"""

#: Run in the place of a task: says what was installed.
PROGRAM = """
import importlib.util as found
for name in ("thing", "bindings", "backend", "judge"):
    if found.find_spec(name): print(name)
"""


def wheel(index: Path, name: str, text: str) -> str:
    """Publish a package with one module; returns its line in a list."""
    file = index / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}.py", text)
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return line(file, name)


def source(index: Path, name: str, needs: str) -> str:
    """Publish a package as source alone, which is built by another one."""
    file = index / f"{name}-1.0.tar.gz"
    text = f'[build-system]\nrequires = ["{needs}"]\nbuild-backend = "{needs}"\n'
    with tarfile.open(file, "w:gz") as archive:
        for member, content in (("pyproject.toml", text), ("PKG-INFO", f"Name: {name}\nVersion: 1.0\n")):
            about = tarfile.TarInfo(f"{name}-1.0/{member}")
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content.encode()))
    return line(file, name)


def line(file: Path, name: str) -> str:
    return f"{name}==1.0 \\\n    --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"


@dataclass
class Clone:
    """A clone with lists of its own, and the index that its host is configured to use."""

    folder: Path
    index: Path

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def inv(self, *words: str) -> subprocess.CompletedProcess[str]:
        pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.index), "PIP_CONFIG_FILE": os.devnull}
        return subprocess.run(
            [self.folder / "inv", *words],
            env={"PATH": str(self.folder / "bin"), "PIP_NO_CACHE_DIR": "1", **pip},
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """One whose lists are right: thing for all, bindings (as source) for virtual machines, judge for the tests."""
    made = Clone(tmp_path / "clone", tmp_path / "index")
    for folder in (made.index, made.folder / "bin", made.folder / "host", made.folder / "lab"):
        folder.mkdir(parents=True)
    for tool in f"{TOOLS} python3 id".split():
        (made.folder / "bin" / tool).symlink_to(shutil.which(tool) or "")
    shutil.copy(FOLDER / "inv", made.folder / "inv")
    for group in ("python", "common", "lxc", "libvirt", "build", "build-libvirt", "test"):
        for kind in ("packages", "programs"):
            made.write(f"host/{group}.{kind}", "")
    made.write("lab/program.py", PROGRAM)
    made.write("lab/cli/needs.py", NEEDS)
    made.write("requirements.txt", wheel(made.index, "thing", "WORD = 1\n"))
    made.write("requirements-build.txt", wheel(made.index, "backend", BACKEND))
    made.write("requirements-libvirt.txt", source(made.index, "bindings", "backend"))
    made.write("requirements-test.txt", wheel(made.index, "judge", "WORD = 1\n"))
    return made


def test_what_the_lists_know_is_installed_and_the_tests_tools_with_the_tests_alone(clone: Clone) -> None:
    done = clone.inv("--list")
    assert (done.returncode, done.stdout) == (0, "thing\n"), done.stderr
    clone.write(".lab/vm/site.json", '{"provider": "libvirt"}')
    done = clone.inv("status")
    assert (done.returncode, done.stdout) == (0, "thing\nbindings\nbackend\n"), done.stderr
    done = clone.inv("test", "--fast")
    assert (done.returncode, done.stdout) == (0, "thing\nbindings\nbackend\njudge\n"), done.stderr


def test_another_file_of_that_name_is_not_installed(clone: Clone) -> None:
    wheel(clone.index, "thing", "WORD = 'not what was published'\n")
    done = clone.inv("--list")
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not list(clone.folder.glob(".venv/lib/*/site-packages/thing.py"))


def test_what_no_list_names_is_not_installed(clone: Clone) -> None:
    text = (clone.folder / "requirements.txt").read_text()
    clone.write("requirements.txt", text + "judge==1.0\n")
    done = clone.inv("--list")
    assert done.returncode == 1
    assert "Hashes are required" in done.stderr


@pytest.mark.parametrize("known", ["nothing", "another file"])
def test_nothing_is_built_by_what_no_list_knows(clone: Clone, known: str) -> None:
    """pip would fetch what a source package says it is built with, and run it, without a look at any hash."""
    clone.write(".lab/vm/site.json", '{"provider": "libvirt"}')
    if known == "nothing":
        clone.write("requirements-build.txt", "")
    else:
        wheel(clone.index, "backend", BACKEND.replace("built", "evil"))
    done = clone.inv("status")
    assert done.returncode == 1
    assert ("DO NOT MATCH THE HASHES" if known != "nothing" else "backend") in done.stderr
    assert not list(clone.folder.glob(".venv/lib/*/site-packages/b*.py"))


def test_nothing_but_libvirts_bindings_is_built_at_all(clone: Clone) -> None:
    clone.write("requirements.txt", source(clone.index, "bindings", "backend"))
    done = clone.inv("--list")
    assert done.returncode == 1
    assert "No matching distribution found for bindings" in done.stderr
