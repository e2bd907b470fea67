"""Data written as YAML is read as what it was, by old readers and new ones, and says why above its fields."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from ruamel.yaml import YAML

from lab import quoting
from lab.kubernetes.yaml import text

#: Texts that some reader takes for a truth, a number, a date, nothing or a piece of YAML, and plain ones beside them.
TEXTS = (
    "on", "y", "No", "true", "null", "~", "1", "1.5", "0x1f", "0o14", "1_000", "1e3", "12:30", "2001-12-14", ".inf",
    "", " a ", "a: b", "a #b", "- a", "*a", "&a", "!a", "%a", "@a", "`a`", "{a}", "[a]", "a\nb", "EOF\n", 'a"b', "a'b",
    "a\\b", "ü", "\u2028", "\ufeff", "😀", "\x07", "x" * 500 + " " + "y" * 500, "$(id)", "10.21.0.11", "10.244.0.0/16",
    "1%", "50Mi", "240s", "kubeadm.k8s.io/v1beta2", "/etc/kubernetes", "v1.20.2", "master1", "unix:///run/x.sock",
)  # fmt: skip


def read(written: str, version: tuple[int, int]) -> list[Any]:
    yaml = YAML(typ="safe", pure=True)
    yaml.version = version
    return list(yaml.load_all(written))


@pytest.mark.parametrize("version", [(1, 1), (1, 2)])
def test_every_text_stays_a_text(version: tuple[int, int]) -> None:
    data = {"fields": {f"f{number}": one for number, one in enumerate(TEXTS)}, "items": list(TEXTS)}
    assert read(text([data, {"n": 1, "t": False}], {}), version) == [data, {"n": 1, "t": False}]


def test_words_addresses_and_amounts_need_no_quotes_and_y_does() -> None:
    for one in ("10.21.0.11", "10.244.0.0/16", "1%", "50Mi", "240s", "/etc/kubernetes", "v1.20.2", "master1"):
        assert text([{"a": one}], {}) == f"a: {one}\n"
    assert text([{"a": "x " * 500}], {}) == f'a: "{"x " * 500}"\n', "a text is a line"
    for one in ("y", "N", "on", "1", "1s.5"):
        assert text([{"a": one}], {}) == f'a: "{one}"\n'


def test_comments_stand_above_what_they_are_about_and_fit_the_page() -> None:
    data = {"a": "x", "b": {"c": ["one", "two"], "d": [{"name": "e", "value": "f"}]}}
    why = {("a",): "first", ("b", "c", "two"): "an item", ("b", "d", "e"): "word " * 40, ("b", "x"): "about nothing"}
    lines = text([data], why).splitlines()
    assert lines[:6] == ["# first", "a: x", "b:", "  c:", "    - one", "    # an item"]
    assert lines[6:8] == ["    - two", "  d:"]
    assert all(line.startswith("    # word word") and len(line) <= 120 for line in lines[8:10])
    assert lines[10:] == ["    - name: e", "      value: f"]


def test_a_here_document_gives_the_text_itself_but_for_what_is_filled_in() -> None:
    filled = "${TOKEN:?}"
    hostile = "$(id) `id` $HOME ${TOKEN} \\ \\\\ \\$ $$ \\"
    script = f"cat <<EOF\n{quoting.here_document(f'{hostile}{filled}{hostile}', [filled])}\nEOF\n"
    done = subprocess.run(
        ["bash", "-uc", script], env={"TOKEN": "t", "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=30
    )
    assert (done.stdout, done.stderr) == (f"{hostile}t{hostile}\n", "")
