"""What the components under provision/ want of a machine: Debian packages, and an install script each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.plan.render import environment

#: A component's install script: a template without values, whose parts several components share.
INSTALL = "install.sh.j2"


@dataclass(frozen=True)
class Component:
    """One folder of provision/. ``install`` is its script's text, "" where there is nothing to install but packages."""

    name: str
    packages: tuple[str, ...]
    install: str


def components(provision: Path) -> list[Component]:
    """Every component with packages or an install script; the machine itself ("node") first, then by name."""
    found = []
    templates = environment(provision.parent)
    for folder in sorted(provision.iterdir(), key=lambda path: (path.name != "node", path.name)):
        packages, install = folder / "packages", folder / INSTALL
        if packages.is_file() or install.is_file():
            names = package_names(packages.read_text()) if packages.is_file() else ()
            script = templates.get_template(f"{folder.name}/{INSTALL}").render() if install.is_file() else ""
            found.append(Component(folder.name, names, script))
    if not found:
        raise LabError(f"{provision} holds no component", "is this a complete clone of the project?")
    return found


def package_names(text: str) -> tuple[str, ...]:
    """The names in a ``packages`` file: one a line, comments from # on."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return tuple(line for line in lines if line)


def all_packages(found: Iterable[Component]) -> list[str]:
    """Every package once, sorted."""
    return sorted({package for component in found for package in component.packages})


def digest(*files: Path) -> str:
    """One hash over the names and contents of files: the same text gives the same key wherever the clone lies."""
    total = hashlib.sha256()
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.resolve().parent.name}/{path.name} {content}\n".encode())
    return total.hexdigest()


def inputs(provision: Path, builder: Iterable[Path]) -> dict[str, str]:
    """What decides a box's contents: packages, install scripts, and the builder's own files."""
    found = components(provision)
    scripts = {component.name: component.install for component in found if component.install}
    return {
        "packages": " ".join(all_packages(found)),
        "scripts": hashlib.sha256(json.dumps(scripts).encode()).hexdigest(),
        "builder": digest(*sorted(builder)),
    }
