"""Kubernetes' programs, compiled from Debian 12's own source package (the full upstream tree with vendored modules)."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from lab.cache import GIB, remove
from lab.command import LineSink, run
from lab.contained import contained
from lab.debian.apt import Client
from lab.debian.sources import AptError, configured
from lab.errors import LabError

#: What is built. Debian's packages of this source hold kubectl only (and collide with other packagers' kubectl).
ON_MACHINES = ("kubeadm", "kubelet", "kubectl")
IN_IMAGES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
PROGRAMS = ON_MACHINES + IN_IMAGES

PACKAGE = "kubernetes"

#: The only version that Debian 12 has the whole tree of.
VERSION = "v1.20.2"

#: Debian's version says 1.20.5 and holds 1.20.2.
DEBIAN_VERSION = re.compile(r"(?:\+really|^)1\.20\.2-")

#: Debian's Go of this release; 1.20.2 was released with Go 1.15, and builds with 1.19 after the two repairs below.
GO_ROOT = Path("/usr/lib/go-1.19")

#: Debian's golang-github-modern-go-reflect2-dev: the vendored 1.0.1 panics under Go ≥ 1.18 (modern-go/reflect2#28).
REFLECT2 = Path("/usr/share/gocode/src/github.com/modern-go/reflect2")

#: Disk that a build uses at its height (source tree 0.3, compiler cache and linker 3, programs 0.5 GiB; measured).
SPACE = 5 * GIB

#: Seconds: 270 on two idle cores (measured), with room for slow and busy ones.
BUILD_TIMEOUT = 3600.0

#: Packages that a build from an empty compiler cache compiles (measured), for the progress that is shown.
PACKAGES_COMPILED = 2300

TREE = Path("src/k8s.io/kubernetes")


def missing() -> str:
    """What of the host's programs is missing for a build, or ""."""
    wanted = {
        "golang-1.19-go": (GO_ROOT / "bin/go").exists(),
        "golang-github-modern-go-reflect2-dev": REFLECT2.is_dir(),
        "dpkg-dev": shutil.which("dpkg-source") is not None,
    }
    return ", ".join(name for name, there in wanted.items() if not there)


def build(folder: Path, sink: LineSink) -> Mapping[str, object]:
    """Fetch, unpack, repair and compile; leaves PROGRAMS in ``folder`` and nothing else. Returns versions.

    Raises AptError when no configured source offers the package, CommandError when a step fails.
    """
    work = folder / "work"
    work.mkdir()
    debian_version = _fetch(work, sink)
    tree = work / "go" / TREE
    repair_reflect2(tree)
    _generate_openapi(work, sink)
    sink(f"compile {', '.join(PROGRAMS)}")
    flags = ["-trimpath", "-ldflags", linker_flags(VERSION)]
    packages = [f"k8s.io/kubernetes/cmd/{name}" for name in PROGRAMS]
    _go(work, counted(sink), "build", "-v", *flags, "-o", str(folder) + "/", *packages)
    absent = [name for name in PROGRAMS if not (folder / name).is_file()]
    if absent:
        raise LabError(f"go build ended well but left no {', '.join(absent)}")
    sink("remove the source tree and the compiler's cache")
    remove(work)
    return {"kubernetes": VERSION, "source": debian_version, "go": (GO_ROOT / "VERSION").read_text().splitlines()[0]}


def _fetch(work: Path, sink: LineSink) -> str:
    """Download and unpack the source package with Debian's patches applied (one of them mends CVE-2021-25743)."""
    sink("fetch the kubernetes source package")
    apt = work / "apt"
    client = Client(apt, configured(), "deb-src", sink)
    update = client.update()
    offered = client.source_versions(PACKAGE)
    versions = [version for version in offered if DEBIAN_VERSION.search(version)]
    if not versions:
        seen = f"it offers {', '.join(offered)}" if offered else "it offers no source package of that name"
        said = f"\n{update.tail()}" if not update.ok or "W:" in update.stderr else ""
        raise AptError(
            f"the machine's configured Debian mirror does not offer the source of kubernetes 1.20.2 ({seen}){said}",
            "check that the mirror is reachable and carries source packages of Debian 12 (apt-get update)",
        )
    dsc = client.fetch_source(PACKAGE, versions[0], apt)
    tree = work / "go" / TREE
    tree.parent.mkdir(parents=True)
    sink("unpack the source")
    unpack = ["dpkg-source", "--no-check", "--extract", str(dsc), str(tree)]  # apt has verified signature and sums
    run(contained(unpack), timeout=300.0, label="dpkg-source --extract kubernetes").check()
    return versions[0]


def repair_reflect2(tree: Path) -> None:
    """Replace the vendored reflect2 by Debian's."""
    vendored = tree / "vendor/github.com/modern-go/reflect2"
    remove(vendored)
    shutil.copytree(REFLECT2, vendored, ignore=shutil.ignore_patterns("*_test.go", "reflect2_amd64_test*"))


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


def _generate_openapi(work: Path, sink: LineSink) -> None:
    """Generate pkg/generated/openapi, which upstream's tree does not contain."""
    sink("generate the OpenAPI definitions")
    tree = work / "go" / TREE
    generator = work / "openapi-gen"
    _go(work, sink, "build", "-o", str(generator), "k8s.io/kubernetes/vendor/k8s.io/kube-openapi/cmd/openapi-gen")
    inputs = ",".join(f"k8s.io/kubernetes/{package}" for package in openapi_packages(tree))
    argv = [str(generator), "--logtostderr", "--output-file-base", "zz_generated.openapi"]
    argv += ["--go-header-file", "hack/boilerplate/boilerplate.generatego.txt", "--output-base", str(work / "go/src")]
    argv += ["--output-package", "k8s.io/kubernetes/pkg/generated/openapi", "--input-dirs", inputs]
    argv += ["--report-filename", str(work / "violations")]
    env = _environment(work)
    run(contained(argv), env=env, cwd=tree, timeout=600.0, label="openapi-gen").check()


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


def _environment(work: Path) -> dict[str, str]:
    """Go's environment: the GOPATH mode of that time, all its folders below ``work``, nothing of the user's own."""
    (work / "tmp").mkdir(exist_ok=True)
    return {
        "GO111MODULE": "off",
        "GOENV": "off",
        "GOFLAGS": "",
        "GOROOT": str(GO_ROOT),
        "GOPATH": str(work / "go"),
        "GOCACHE": str(work / "gocache"),
        "GOTMPDIR": str(work / "tmp"),
        "CGO_ENABLED": "0",
        "PATH": f"{GO_ROOT}/bin:{os.environ.get('PATH', os.defpath)}",
    }


def _go(work: Path, sink: LineSink, *args: str) -> None:
    argv = [str(GO_ROOT / "bin/go"), *args]
    label = f"go {args[0]} ({args[-1] if len(args) < 5 else 'kubernetes'})"
    tree = work / "go" / TREE
    run(contained(argv), env=_environment(work), cwd=tree, timeout=BUILD_TIMEOUT, sink=sink, label=label).check(
        "out of memory or disk? The build needs 4 GiB of each"
    )


def build_single(source: Path, target: Path, work: Path, sink: LineSink) -> None:
    """Compile one Go file of our own, static and stripped (the pause program)."""
    (work / "go" / TREE).mkdir(parents=True, exist_ok=True)
    _go(work, sink, "build", "-trimpath", "-ldflags", "-s -w", "-o", str(target), str(source))
