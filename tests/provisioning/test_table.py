"""The table of steps is walked: a row more is a step more, and nothing else has to know of it."""

from __future__ import annotations

import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from remembering import ALL, PREPARED, Call, Lab

from lab.command import CommandError
from lab.identity import Identity
from lab.model.functions import Function
from lab.plan import STEPS, Step, render
from lab.plan.render import FOLDER
from lab.plan.site import ContainerSite
from lab.provisioning import Work
from lab.provisioning.walk import Walk
from lab.stage import Stage
from lab.timeline import Timeline

#: A component that nobody else knows: on every machine, once containers can run on all of them.
MUSIC = Step("music", "music", stage=Stage.CONTROL_PLANE, after=("containerd",), files=("notes",))

#: The table with that row, in the place in which it shall come.
LONGER = (*STEPS[: [step.name for step in STEPS].index("kubernetes")], MUSIC, *STEPS[-3:])


def listed() -> list[str]:
    """The steps that README lists."""
    text = (FOLDER / "README.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith("Steps, in their order: "))
    return re.findall(r"`([a-z-]+)`", line)


def test_a_row_rests_on_rows_above_it() -> None:
    for number, step in enumerate(STEPS):
        above = {one.name for one in STEPS[:number]}
        assert {*step.after, *([step.undoes] if step.undoes else [])} <= above, step.name
    assert len({step.name for step in STEPS}) == len(STEPS)


def test_readme_lists_the_steps() -> None:
    assert listed() == [step.name for step in STEPS], "a row more is a word more there"


def test_a_row_more_is_rendered_for_its_machines(tmp_path: Path) -> None:
    shutil.copytree(FOLDER / "provision", tmp_path / "provision")
    shutil.copy(FOLDER / "Vagrantfile.j2", tmp_path)
    (tmp_path / "provision/music").mkdir()
    (tmp_path / "provision/music/music.sh.j2").write_text(
        "#!/usr/bin/env bash\nset -euo pipefail\necho {{ node.name }}\n"
    )
    (tmp_path / "provision/music/notes.j2").write_text("for {{ node.name }}\n")
    site = ContainerSite(Identity("ha", Path("/x")))
    before, after = (render(Lab().topology, site, steps, folder=tmp_path) for steps in (STEPS, LONGER))
    assert sorted(after.keys() - before.keys()) == sorted(
        f"nodes/{machine}/{name}" for machine in ALL for name in ("music.sh", "notes")
    )
    vagrantfile = after.pop("Vagrantfile").content
    assert vagrantfile.replace(" music", "") == before.pop("Vagrantfile").content
    assert vagrantfile.count(" containerd music kubernetes ") == len(ALL)
    assert {path: after[path] for path in before} == before, "no other file says another word"


def test_a_row_more_is_run_in_its_place() -> None:
    lab = Lab(steps=LONGER)
    lab.run(Stage.WORKERS)
    assert lab.journal.steps("master1") == [
        "node",
        "haproxy",
        "keepalived",
        "containerd",
        "music",
        "kubernetes",
        "init",
    ]
    assert lab.journal.steps("worker1") == ["node", "containerd", "music", "kubernetes", "join"]
    for machine in ALL:
        for other in ALL:
            assert lab.journal.before((other, "containerd"), (machine, "music"))


def test_a_lab_that_is_there_goes_through_a_row_more_and_through_nothing_else() -> None:
    lab = Lab(steps=LONGER)
    done = lab.run(Stage.WORKERS, lab.seen(*PREPARED, joined=ALL), founded=True)
    assert sorted(done) == [f"{machine} music" for machine in ALL]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"functions": frozenset({Function.WORKER})}, ["worker1", "worker2"]),
        ({"functions": frozenset({Function.ETCD})}, ["master1", "master2", "master3"]),
        ({"stage": Stage.LOADBALANCER, "after": ("node",)}, list(ALL)),
        ({"stage": Stage.WORKERS}, []),
    ],
)
def test_a_row_says_where_and_from_when_on(change: dict[str, object], where: list[str]) -> None:
    row = replace(MUSIC, **change)  # type: ignore[arg-type]
    lab = Lab(steps=[row if step is MUSIC else step for step in LONGER])
    lab.run(Stage.CONTROL_PLANE)
    assert [machine for machine in ALL if "music" in lab.journal.steps(machine)] == where


def test_nobody_waits_for_a_machine_that_failed() -> None:
    """Each of the others ends what it is at, and tells the one error."""
    going = threading.Event()

    def answer(call: Call) -> tuple[int, str] | None:
        if (call.machine, call.name) == ("worker2", "containerd"):
            assert going.wait(5)
            return 1, ""
        if (call.machine, call.name) == ("master3", "containerd"):
            going.set()
        return None

    lab = Lab(steps=LONGER, answer=answer)
    with pytest.raises(CommandError, match="containerd is ill") as caught:
        lab.run(Stage.WORKERS)
    assert caught.value.others == []
    assert not any("music" in lab.journal.steps(machine) for machine in ALL)


def test_nobody_waits_for_a_machine_that_never_comes() -> None:
    """An interrupt may come before a machine is on its way to what others wait for."""
    lab = Lab(steps=LONGER)
    one, never = Step("one", "one"), Step("never", "never")
    walk = Walk(Work({}, {}, Timeline(lab.told), {}), {"worker1": [replace(one, after=("never",))], "worker2": [never]})
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(walk.go, lab.topology.node("worker1"))
        walk.fail(KeyboardInterrupt())
        assert isinstance(waiting.exception(timeout=5), KeyboardInterrupt)
    assert [type(future.exception(timeout=0)) for future in walk.of(["one", "never"])] == [KeyboardInterrupt] * 2
