"""Kubernetes' programs, compiled from Debian 12's own source package (the full upstream tree with vendored modules)."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from lab.cache import GIB, remove
from lab.command import LineSink
from lab.debian.apt import Client
from lab.debian.sources import AptError, configured
from lab.errors import LabError
from lab.kubernetes.release import IN_IMAGES, ON_MACHINES
from lab.payload.toolchain import GO_SOURCES, WORK, Toolchain

#: What is built. Debian's packages of this source hold kubectl only (and collide with other packagers' kubectl).
PROGRAMS = ON_MACHINES + IN_IMAGES

#: What holds a pod's namespaces open: a program of our own, for the image of that name.
PAUSE = Path(__file__).with_name("pause.go")

PACKAGE = "kubernetes"

#: The vendored reflect2 1.0.1 panics under Go ≥ 1.18 (modern-go/reflect2#28); Debian packages 1.0.2.
REFLECT2 = Path("github.com/modern-go/reflect2")

#: Disk that a build uses at its height (compiler 0.6 and its cache 3, source tree 0.3, programs 0.5 GiB; measured).
SPACE = 5 * GIB

#: Seconds: 270 on two idle cores (measured), with room for slow and busy ones.
BUILD_TIMEOUT = 3600.0

#: Packages that a build from an empty compiler cache compiles (measured), for the progress that is shown.
PACKAGES_COMPILED = 2300

#: Where the source tree lies in the folder to work in: Go 1.15 wants its packages by their paths.
TREE = Path("go/src/k8s.io/kubernetes")


def build(version: str, folder: Path, sink: LineSink) -> Mapping[str, object]:
    """Fetch, unpack, repair and compile a release; leaves PROGRAMS and pause in ``folder`` and nothing else.

    Returns versions.

    Raises AptError when no configured source offers the package, CommandError when a step fails.
    """
    work, root = folder / "work", folder / "toolchain"
    work.mkdir()
    toolchain = Toolchain.unpack(root, work, sink)
    debian_version = _fetch(version, toolchain, sink)
    repair_reflect2(work / TREE, toolchain.host(GO_SOURCES / REFLECT2))
    _generate_openapi(toolchain, sink)
    sink(f"compile {', '.join(PROGRAMS)}")
    flags = ["-trimpath", "-ldflags", linker_flags(version)]
    packages = [f"k8s.io/kubernetes/cmd/{name}" for name in PROGRAMS]
    _go(toolchain, counted(sink), "build", "-v", *flags, "-o", f"{WORK}/bin/", *packages)
    shutil.copy(PAUSE, work)
    _go(toolchain, sink, "build", "-trimpath", "-ldflags", "-s -w", "-o", f"{WORK}/bin/", f"{WORK}/{PAUSE.name}")
    compiled = [*PROGRAMS, PAUSE.stem]
    if absent := [name for name in compiled if not (work / "bin" / name).is_file()]:
        raise LabError(f"go build ended well but left no {', '.join(absent)}")
    for name in compiled:
        (work / "bin" / name).rename(folder / name)
    versions = {"kubernetes": version, "source": debian_version, "go": toolchain.go_version}
    sink("remove compiler, source tree and the compiler's cache")
    remove(work)
    remove(root)
    return versions


def holds(version: str) -> re.Pattern[str]:
    """What Debian calls the sources of a release: its own version may say 1.20.5 where the tree is 1.20.2's."""
    return re.compile(rf"(?:\+really|^){re.escape(version.removeprefix('v'))}-")


def _fetch(version: str, toolchain: Toolchain, sink: LineSink) -> str:
    """Download and unpack the source package with Debian's patches applied (one of them mends CVE-2021-25743)."""
    sink("fetch the kubernetes source package")
    apt = toolchain.work / "apt"
    client = Client(apt, configured(), "deb-src", sink)
    update = client.update()
    offered = client.source_versions(PACKAGE)
    plain = version.removeprefix("v")
    versions = [one for one in offered if holds(version).search(one)]
    if not versions:
        seen = f"it offers {', '.join(offered)}" if offered else "it offers no source package of that name"
        said = f"\n{update.tail()}" if not update.ok or "W:" in update.stderr else ""
        raise AptError(
            f"the machine's configured Debian mirror does not offer the source of kubernetes {plain} ({seen}){said}",
            "check that the mirror is reachable and carries source packages of Debian 12 (apt-get update)",
        )
    dsc = client.fetch_source(PACKAGE, versions[0], apt)
    (toolchain.work / TREE).parent.mkdir(parents=True)
    sink("unpack the source")
    # apt has verified signature and sums
    unpack = ["dpkg-source", "--no-check", "--extract", f"{WORK}/apt/{dsc.name}", str(WORK / TREE)]
    toolchain.run(unpack, timeout=300.0, label="dpkg-source --extract kubernetes").check()
    return versions[0]


def repair_reflect2(tree: Path, debians: Path) -> None:
    """Replace the vendored reflect2 by Debian's."""
    vendored = tree / "vendor" / REFLECT2
    remove(vendored)
    shutil.copytree(debians, vendored, ignore=shutil.ignore_patterns("*_test.go", "reflect2_amd64_test*"))


#: Folders whose packages may carry the tag, and parts of vendor that are no part of the API (upstream's Makefile).
_OPENAPI_ROOTS = ("pkg", "cmd", "plugin", "vendor/k8s.io")
_OPENAPI_NOT = re.compile(r"^vendor/k8s\.io/(code-generator|sample-apiserver|kube-openapi)(/|$)")


def openapi_packages(tree: Path) -> list[str]:
    """Every package (relative folder) with a +k8s:openapi-gen tag, sorted. vendor/k8s.io is links into staging."""
    return sorted(set(_tagged(tree)))


def _tagged(tree: Path) -> Iterator[str]:
    for root in _OPENAPI_ROOTS:
        for base, folders, names in os.walk(tree / root, followlinks=True):
            relative = str(Path(base).relative_to(tree))
            if _OPENAPI_NOT.match(relative):
                folders.clear()
                continue
            if any(_has_tag(Path(base, name)) for name in names if name.endswith(".go")):
                yield relative


def _has_tag(path: Path) -> bool:
    return b"+k8s:openapi-gen=" in path.read_bytes()


def _generate_openapi(toolchain: Toolchain, sink: LineSink) -> None:
    """Generate pkg/generated/openapi, which upstream's tree does not contain."""
    sink("generate the OpenAPI definitions")
    generator = f"{WORK}/openapi-gen"
    _go(toolchain, sink, "build", "-o", generator, "k8s.io/kubernetes/vendor/k8s.io/kube-openapi/cmd/openapi-gen")
    inputs = ",".join(f"k8s.io/kubernetes/{package}" for package in openapi_packages(toolchain.work / TREE))
    argv = [generator, "--logtostderr", "--output-file-base", "zz_generated.openapi"]
    argv += ["--go-header-file", "hack/boilerplate/boilerplate.generatego.txt", "--output-base", f"{WORK}/go/src"]
    argv += ["--output-package", "k8s.io/kubernetes/pkg/generated/openapi", "--input-dirs", inputs]
    argv += ["--report-filename", f"{WORK}/violations"]
    toolchain.run(argv, folder=WORK / TREE, timeout=600.0, label="openapi-gen").check()


def linker_flags(version: str) -> str:
    """The linker's flags: no symbols, and the version where both version packages look for it.

    The tree is Debian's patched one, so no commit of upstream's is claimed.
    """
    major, minor, _patch = version.removeprefix("v").split(".")
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "archive", "gitCommit": ""}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    names = [f"k8s.io/kubernetes/vendor/{package}" for package in packages]
    stamps = [f"-X {name}.{key}={text}" for name in names for key, text in values.items()]
    return " ".join(["-s", "-w", *stamps])


def counted(sink: LineSink) -> LineSink:
    """A sink for ``go build -v``, which names each package: hands on how many there were, one line a hundred."""
    count = 0

    def count_line(line: str) -> None:
        nonlocal count
        if not re.fullmatch(r"[\w.~/-]+", line):
            sink(line)  # no package: the compiler has something to say
            return
        count += 1
        if count % 100 == 0:
            sink(f"compiled {count} packages of about {PACKAGES_COMPILED}")

    return count_line


def _go(toolchain: Toolchain, sink: LineSink, *args: str) -> None:
    label = f"go {args[0]} ({'kubernetes' if '-v' in args else Path(args[-1]).name})"
    toolchain.run(["go", *args], folder=WORK / TREE, timeout=BUILD_TIMEOUT, sink=sink, label=label).check(
        "out of memory or disk? The build needs 4 GiB of each"
    )
