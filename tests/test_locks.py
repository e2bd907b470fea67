"""Every Python package that is installed is pinned, with the hashes of all that was published of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.locks import ANCHOR, files_of, lists, locked, version_of

FOLDER = Path(__file__).resolve().parent.parent

A, B, C = "a" * 64, "b" * 64, "c" * 64

INDEX = {
    "some.thing": {
        "some_thing-1.0-py3-none-any.whl": A,
        "some_thing-1.0.tar.gz": B,
        "some_thing-1.0.1-py3-none-any.whl": C,
        "some_thing-1.0.win32.exe": C,
    },
    "other": {
        "other-2-1build-cp311-cp311-manylinux_2_17_x86_64.whl": A,
        "other-2-cp313-cp313-macosx_11_0_arm64.whl": C,
    },
}


def test_all_files_of_the_pinned_version_are_known_and_no_other() -> None:
    text = f"# Why.\nsome.thing==1.0 \\\n    --hash=sha256:{C}\n\nother==2\n"
    wanted = (
        f"# Why.\nsome.thing==1.0 \\\n    --hash=sha256:{A} \\\n    --hash=sha256:{B}\n\n"
        f"other==2 \\\n    --hash=sha256:{A} \\\n    --hash=sha256:{C}\n"
    )
    assert locked(text, INDEX.__getitem__) == wanted
    assert locked(wanted, INDEX.__getitem__) == wanted


def test_a_version_that_there_is_not_is_named() -> None:
    with pytest.raises(LabError, match=r"no file of other 3"):
        locked("other==3\n", INDEX.__getitem__)


@pytest.mark.parametrize(
    ("file", "version"),
    [
        ("ruamel_yaml-0.19.1-py3-none-any.whl", "0.19.1"),
        ("libvirt_python-12.8.0.tar.gz", "12.8.0"),
        ("python-vagrant-1.0.0.zip", "1.0.0"),
        ("old-1.0.egg", ""),
    ],
)
def test_a_files_name_tells_its_version(file: str, version: str) -> None:
    assert version_of(file) == version


def test_an_index_may_answer_in_either_form() -> None:
    html = f'<a href="../../packages/x/some_thing-1.0.tar.gz#sha256={B}" data-yanked="">some_thing-1.0.tar.gz</a><br/>'
    assert ANCHOR.search(html)
    assert files_of("text/html; charset=utf-8", html) == {"some_thing-1.0.tar.gz": B}
    data = {"files": [{"filename": "x-1.whl", "hashes": {"sha256": A}}, {"filename": "x-0.whl", "hashes": {}}]}
    assert files_of("application/vnd.pypi.simple.v1+json", json.dumps(data)) == {"x-1.whl": A}


@pytest.mark.parametrize("file", lists(FOLDER), ids=lambda file: file.name)
def test_a_list_of_the_project_pins_every_package_with_its_hashes(file: Path) -> None:
    text = re.sub(r"^#.*\n", "", file.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    packages = [line for line in text.splitlines() if line.strip()]
    assert packages
    for package in packages:
        assert re.fullmatch(r"[\w.-]+==[\w.]+(\s+--hash=sha256:[0-9a-f]{64})+", package), package


def test_no_package_stands_in_two_lists() -> None:
    names = [name for file in lists(FOLDER) for name in re.findall(r"^([\w.-]+)==", file.read_text(), re.MULTILINE)]
    assert len(names) == len(set(names)) > 30
