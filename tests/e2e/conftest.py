"""One real lab in containers, shared by all live tests of a session: made once, broken and healed, destroyed last."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import needs
import pytest
from credentials import Watcher
from filelock import FileLock, Timeout
from hosts import snapshot
from judging import Shared
from running import FOLDER, Inv

Report = Generator[None, pytest.TestReport, pytest.TestReport]

#: The lab's own name, so that it never meets one of the reader's.
NAME = "e2e"


@pytest.fixture(scope="session")
def containers() -> None:
    """Skips for a user who may not make containers; as root they must be possible, with all that makes them there."""
    if os.geteuid() != 0:
        pytest.skip("containers need root")  # a right that this user was not given (see needs)
    needs.programs("lxc-start", "vagrant", "ip", "unshare")
    tried = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.fail(f"root makes no namespaces here, so nothing was tested: {tried.stderr}", pytrace=False)


@pytest.fixture(scope="session")
def lab(containers: None) -> Iterator[Shared]:
    """The default definition's lab, four machines, healthy."""
    (FOLDER / ".lab").mkdir(exist_ok=True)
    only = FileLock(FOLDER / ".lab" / f"{NAME}.test-lock")
    try:
        only.acquire(timeout=0)
    except Timeout:
        pytest.fail("another test run of this clone is at its lab: run it again when that has ended", pytrace=False)
    inv = Inv(NAME, mark=uuid.uuid4().hex)
    inv("destroy", "--all")  # what a killed test run left
    before, began = snapshot(), time.time()
    try:
        with Watcher() as watcher:
            up = inv.up(status=None)
        if up.status != 0:
            pytest.fail(f"no lab to test: {up}", pytrace=False)
        yield Shared(inv, before, began, up, watcher)
    finally:
        inv("destroy", "--all", status=None)
        only.release()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Report:
    """At the first failure the lab's logs are gathered: what is needed to diagnose goes away with the lab."""
    report = yield
    shared = getattr(item, "funcargs", {}).get("lab")
    if report.failed and call.when == "call" and isinstance(shared, Shared):
        kept = FOLDER / ".lab" / "failed-test"
        if item.session.testsfailed == 0 and shared.inv.state.is_dir():
            report.sections.append(("the lab after it", _keep(shared.inv, kept)))
    return report


def _keep(inv: Inv, kept: Path) -> str:
    shutil.rmtree(kept, ignore_errors=True)
    said = inv("logs", status=None, seconds=300)
    shutil.copytree(inv.state / "runs", kept)
    (kept / "status.txt").write_text(str(inv("status", status=None)))
    return f"{said.out}the lab's runs and logs are kept in {kept}"


@pytest.fixture(scope="session")
def spent_lab(lab: Shared) -> Shared:
    """The same lab, for the tests that end it: they run last."""
    return lab


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Among the tests of this folder, those that end the lab go to the end; all others keep their place."""
    places = [place for place, item in enumerate(items) if Path(__file__).parent in item.path.parents]
    ours = sorted((items[place] for place in places), key=lambda item: "spent_lab" in getattr(item, "fixturenames", ()))
    for place, item in zip(places, ours, strict=True):
        items[place] = item
