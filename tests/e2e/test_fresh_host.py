"""A Debian with nothing prepared: README's commands, one after another, and nothing of them left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import needs
import pytest
from freshhost import FreshHost, fresh_host, sweep
from hosts import belonging, differences, left_of, snapshot
from running import FOLDER, healthy

from lab.cache import Cache
from lab.cgroups import TOP
from lab.waiting import wait_for

pytestmark = [pytest.mark.live, pytest.mark.long, needs.root, needs.apt]

#: Set to anything, it makes the fresh host build everything itself; else it has this machine's cache.
COLD = "HALAB_TEST_COLD"

#: Seconds for `up` to bring packages, box, Kubernetes and lab on a busy machine.
EVERYTHING = 3600.0

#: Makes a fresh host in the folder that is named, with one process in it, and waits to be killed.
HOLDER = """
import sys, time
from pathlib import Path
from freshhost import fresh_host
with fresh_host("trixie", place=Path(sys.argv[1])) as host:
    host.run(f"sleep 300 > /dev/null 2>&1 & mkdir -p {host.clone}/.lab/ha")
    print(host.init, host.inv("ha").identity.prefix, flush=True)
    time.sleep(300)  # its SIGKILL comes meanwhile
"""


@pytest.fixture
def debian13(containers: None) -> Iterator[FreshHost]:
    """Debian 13, today's stable."""
    cache = Cache.default().root
    cache.mkdir(parents=True, exist_ok=True)
    with fresh_host("trixie", [] if os.environ.get(COLD) else [cache]) as host:
        yield host


def test_debian_13_with_nothing_prepared(debian13: FreshHost, record_property: Callable[[str, object], None]) -> None:
    lab = debian13.inv("ha")
    before, here = snapshot(debian13.init), snapshot()
    record_property("up", lab("up", seconds=EVERYTHING).seconds)
    assert healthy(lab.status())
    record_property("verify", lab("verify", seconds=600).seconds)
    living = belonging(lab.identity.prefix, lab.state, lab.mark, debian13.init)
    record_property("destroy", lab("destroy").seconds)
    assert living, "the lab ran, and had processes"
    assert [process for process in living if process.lives] == []
    assert left_of(lab.identity.prefix, lab.state) == []
    assert differences(before, snapshot(debian13.init), [lab.identity.prefix]) == []
    assert differences(here, snapshot(), [lab.identity.prefix]) == []


def test_a_killed_test_leaves_no_fresh_host(containers: None, tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(__file__).parent), str(FOLDER)])
    argv = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}) as holder:
        assert holder.stdout is not None
        init, prefix = holder.stdout.readline().split()
        namespace = _namespace(Path("/proc", init))
        inside = [process for process in Path("/proc").glob("[0-9]*") if _namespace(process) == namespace]
        assert len(inside) == 3, "its process 1, what that waits for, and the one that was started"
        group = next(top for top in (TOP / "pids", TOP) if top.is_dir()) / f"lxc.payload.{prefix}-master1"
        (group / "inner").mkdir(parents=True)
        holder.kill()
    wait_for("its end", lambda: [process for process in inside if process.exists()], lambda left: not left, seconds=30)
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert not group.exists()


def _namespace(process: Path) -> str:
    """The process namespace, "" of a process that has ended."""
    try:
        return str((process / "ns/pid").readlink())
    except OSError:
        return ""
