"""The steps of every machine as scripts: as they lie in a lab's folder, and as its definition renders them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from lab.plan import Site, render
from lab.provisioning.step import Script
from lab.topology import Topology

#: By (node, step).
Scripts = Mapping[tuple[str, str], Script]


def kept(folder: Path, topology: Topology) -> Scripts:
    """The scripts in a lab's folder: what a person sees there is what runs."""
    files = [(node.name, file) for node in topology.nodes for file in (folder / "nodes" / node.name).glob("*.sh")]
    return {(node, file.stem): Script(file.stem, node, file.read_text()) for node, file in files}


def rendered(topology: Topology, site: Site) -> Scripts:
    """The scripts that the folder holds after an ``up`` of this topology."""
    files = {PurePosixPath(path): file for path, file in render(topology, site, vagrantfile=False).items()}
    return {
        (path.parent.name, path.stem): Script(path.stem, path.parent.name, file.content)
        for path, file in files.items()
        if path.suffix == ".sh"
    }
