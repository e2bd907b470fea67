"""A plan of a hundred nodes takes seconds, not minutes, and grows with its nodes."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

from samples import FOLDER, site
from yamltext import dump

from lab.definition import parse
from lab.plan import render
from lab.topology import derive

#: Seconds for a hundred nodes, from the command line to files on disk and tables on the screen.
LIMIT = 2.0

#: ``./inv plan`` with another folder for the labs.
PROGRAM = """
import sys, pathlib
from lab.commands import plan
plan.FOLDER = pathlib.Path(sys.argv[1])
plan.run(sys.argv[2], "", "lxc")
"""


def definition(nodes: int) -> str:
    """A lab of three masters and workers."""
    specs = [{"name": f"node{i}", "role": "master" if i < 3 else "worker"} for i in range(nodes)]
    return dump({"nodes": specs, "network": {"subnet": "10.21.0.0/16", "vip": "10.21.200.1"}})


def rendering(nodes: int) -> float:
    """Processor seconds from the definition's text to all files, the best of five."""
    taken = []
    for _ in range(5):
        start = time.process_time()
        files = render(derive(parse(definition(nodes)), driver=""), site())
        taken.append(time.process_time() - start)
        assert len(files) > 4 * nodes
    return min(taken)


def test_growth_is_linear() -> None:
    rendering(5)  # compiles the templates
    fifty, two_hundred = rendering(50), rendering(200)
    # Each machine knows all others by name and route, so not quite 4; a quadratic plan would take 16 times as long.
    assert two_hundred / fifty < 7, f"50 nodes {fifty:.3f} s, 200 nodes {two_hundred:.3f} s"


def test_a_hundred_nodes_are_planned_in_two_seconds(tmp_path: Path) -> None:
    (tmp_path / "hundred.yaml").write_text(definition(100))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    argv = [sys.executable, "-c", PROGRAM, str(tmp_path), str(tmp_path / "hundred.yaml")]
    done = subprocess.run(argv, cwd=FOLDER, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "node99" in done.stdout
    assert len(list((tmp_path / ".lab").rglob("*.sh"))) > 300
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert took <= LIMIT, f"{took:.2f} s of processor time"
