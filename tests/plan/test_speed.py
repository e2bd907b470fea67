"""A plan of a hundred nodes takes seconds, not minutes, and grows with its nodes."""

from __future__ import annotations

import time

from samples import site
from yamltext import dump

from lab.definition import parse
from lab.plan import render
from lab.topology import derive

#: Seconds for a hundred nodes, from text to files.
LIMIT = 2.0


def plan(nodes: int) -> float:
    """Processor seconds from the definition's text to all files, the better of two."""
    specs = [{"name": f"node{i}", "role": "master" if i < 3 else "worker"} for i in range(nodes)]
    text = dump({"nodes": specs, "network": {"subnet": "10.21.0.0/16", "vip": "10.21.200.1"}})
    taken = []
    for _ in range(2):
        start = time.process_time()
        files = render(derive(parse(text)), site())
        taken.append(time.process_time() - start)
        assert len(files) > 4 * nodes
    return min(taken)


def test_a_hundred_nodes_are_planned_in_two_seconds_and_growth_is_linear() -> None:
    plan(5)  # compiles the templates
    twenty, hundred = plan(20), plan(100)
    assert hundred <= LIMIT
    # Each machine knows all others by name and route, so not quite 5; a quadratic plan would take 25 times as long.
    assert hundred / twenty < 10, f"20 nodes {twenty:.3f} s, 100 nodes {hundred:.3f} s"
