"""What is compiled, and the two repairs that the tree of that time needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.payload import programs


def test_both_version_packages_are_stamped() -> None:
    flags = programs.linker_flags("v1.20.2").split()
    for package in ("component-base/version", "client-go/pkg/version"):
        assert f"k8s.io/kubernetes/vendor/k8s.io/{package}.gitVersion=v1.20.2" in flags
        assert f"k8s.io/kubernetes/vendor/k8s.io/{package}.gitMinor=20" in flags
    assert flags[:2] == ["-s", "-w"]


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ("1.20.5+really1.20.2-1.1+deb12u1", True),
        ("1.20.5+really1.20.2-1", True),
        ("1.20.2-1", True),
        ("1.20.5-1", False),
        ("1.32.3+ds-2", False),
        ("11.20.2-1", False),
        ("1.20.5+really1.20.20-1", False),
    ],
)
def test_debians_version_is_recognised(version: str, wanted: bool) -> None:
    assert bool(programs.holds("v1.20.2").search(version)) is wanted


def _write(tree: Path, name: str, text: str) -> None:
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_openapi_covers_tagged_packages_through_links_and_nothing_else(tmp_path: Path) -> None:
    tag = "// +k8s:openapi-gen=true\npackage x\n"
    _write(tmp_path, "pkg/apis/a/doc.go", tag)
    _write(tmp_path, "pkg/apis/b/doc.go", "package b\n")
    _write(tmp_path, "pkg/apis/c/README.md", tag)
    _write(tmp_path, "staging/api/core/v1/doc.go", tag)
    _write(tmp_path, "staging/generator/cmd/doc.go", tag)
    _write(tmp_path, "test/doc.go", tag)
    (tmp_path / "vendor/k8s.io").mkdir(parents=True)
    (tmp_path / "vendor/k8s.io/api").symlink_to(tmp_path / "staging/api")
    (tmp_path / "vendor/k8s.io/code-generator").symlink_to(tmp_path / "staging/generator")
    assert programs.openapi_packages(tmp_path) == ["pkg/apis/a", "vendor/k8s.io/api/core/v1"]


def test_reflect2_is_replaced_as_a_whole(tmp_path: Path) -> None:
    debians = tmp_path / "debian"
    _write(debians, "reflect2.go", "new")
    _write(debians, "reflect2_test.go", "test")
    _write(tmp_path, "tree/vendor/github.com/modern-go/reflect2/reflect2.go", "old")
    _write(tmp_path, "tree/vendor/github.com/modern-go/reflect2/type_map.go", "old")
    programs.repair_reflect2(tmp_path / "tree", debians)
    vendored = tmp_path / "tree/vendor/github.com/modern-go/reflect2"
    assert {path.name: path.read_text() for path in vendored.iterdir()} == {"reflect2.go": "new"}


def test_progress_is_counted_and_errors_come_through_at_once() -> None:
    lines: list[str] = []
    sink = programs.counted(lines.append)
    for number in range(250):
        sink(f"k8s.io/kubernetes/pkg/p{number}")
    sink("# k8s.io/kubernetes/cmd/kubelet")
    sink("cmd/kubelet/kubelet.go:3:1: syntax error")
    assert [line.split(" of ")[0] for line in lines] == [
        "compiled 100 packages",
        "compiled 200 packages",
        "# k8s.io/kubernetes/cmd/kubelet",
        "cmd/kubelet/kubelet.go:3:1: syntax error",
    ]
