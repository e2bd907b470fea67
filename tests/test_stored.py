"""The definition that is kept with a lab is the one that was read, and never promises more than what runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab import bringup
from lab.bringup import Bringup
from lab.commands import plan, up
from lab.context import allocations
from lab.definition import Definition, load, parse
from lab.errors import LabError
from lab.identity import Identity
from lab.model.allocations import allocate
from lab.plan.site import ContainerSite, Site
from lab.plan.write import RECORD
from lab.state import ALLOCATIONS, State
from lab.topology import derive

DEFINITION = (
    "name: ha\nkeepalived: {advert_interval: 0.2}\nnodes: [{name: m1, role: master}, {name: m2, role: master}]\n"
)
SLOWER = DEFINITION.replace("0.2", "5")


class Enough(LabError):
    """The rest of ``up`` is not wanted."""


class Work:
    """An ``up`` of a definition's file on machines that are not there: what each part of it does, a test may say."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state = State(Identity("ha", folder))
        self.file = folder / "my.yaml"
        self.file.write_text(DEFINITION)
        self.site: Callable[[], object] = lambda: None
        self.boot: Callable[[], object] = lambda: None
        self.provision: Callable[[], object] = lambda: None
        site = ContainerSite(self.state.identity)

        def scope_of(definition: Definition, *_: object, **__: object) -> object:
            return SimpleNamespace(topology=derive(definition, ""), site=site)

        def make_site(*_: object, **__: object) -> Site:
            self.site()
            return site

        def boot(*_: object) -> list[str]:
            self.boot()
            return []

        def provision(*_: object) -> list[str]:
            self.provision()
            return []

        monkeypatch.setattr(up, "FOLDER", folder)
        monkeypatch.setattr(plan, "FOLDER", folder)
        monkeypatch.setattr(up, "scope_of", scope_of)
        monkeypatch.setattr(up, "refuse", lambda _: None)
        monkeypatch.setattr(bringup, "make_site", make_site)
        monkeypatch.setattr(Bringup, "_stands_well", lambda *_: True)
        monkeypatch.setattr(Bringup, "_boot", boot)
        monkeypatch.setattr(Bringup, "_provision", provision)
        monkeypatch.setattr(bringup, "settle", self._far_enough)

    def up(self, until: str = "loadbalancer") -> None:
        """As far as the lab's health."""
        with pytest.raises(Enough):
            up.run(str(self.file), "", "lxc", until, refresh=False, verbose=False)

    def _far_enough(self, *_: object) -> None:
        raise Enough("far enough")

    @property
    def stored(self) -> float:
        return load(self.state.definition).keepalived.advert_interval

    def advertised(self, folder: str = "") -> str:
        text = (self.state.folder / folder / "nodes/m1/keepalived.conf").read_text()
        return next(line.split()[1] for line in text.splitlines() if "advert_int" in line)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    return Work(tmp_path, monkeypatch)


def test_a_file_that_is_edited_while_the_box_is_built_is_not_what_is_kept(work: Work) -> None:
    work.site = lambda: work.file.write_text(SLOWER)
    work.up()
    assert (work.advertised(), work.stored) == ("0.2", 0.2)
    assert work.state.definition.read_text() == DEFINITION, "word for word"


def test_a_new_lab_is_known_by_its_definition_before_it_has_machines(work: Work) -> None:
    def boot() -> None:
        assert work.stored == 0.2
        raise Enough("no machine")

    work.boot = boot
    work.up()


def test_what_each_node_is_given_is_kept_before_there_are_machines(work: Work) -> None:
    def boot() -> None:
        assert work.state.load_allocations() == allocate(load(work.file))
        raise Enough("no machine")

    work.boot = boot
    work.up()


def test_the_nodes_of_a_lab_of_an_earlier_version_keep_what_their_position_gave_them(work: Work) -> None:
    work.up()
    before = allocate(load(work.file))
    (work.state.folder / ALLOCATIONS).unlink()
    turned = parse(DEFINITION.replace("m1", "m0").replace("m2", "m1").replace("m0", "m2"))
    assert allocations(turned, work.state) == before != allocate(turned)


def test_another_definition_is_kept_once_its_steps_have_run(work: Work) -> None:
    work.up()
    work.file.write_text(SLOWER)

    def provision() -> None:
        assert work.advertised() == "5", "what will run can be read"
        assert work.stored == 0.2, "what runs is still the other one"
        raise Enough("a step failed")

    work.provision = provision
    work.up()
    assert work.stored == 0.2
    work.provision = lambda: None
    work.up()
    assert work.stored == 5


def test_a_lab_that_was_destroyed_was_nothing_before(work: Work) -> None:
    work.up()
    (work.state.folder / "site.json").unlink()  # what destroy leaves: definition and rendered files
    work.file.write_text(SLOWER)
    work.boot = lambda: pytest.fail("not kept") if work.stored != 5 else None
    work.up()


def test_a_plan_leaves_a_lab_that_is_there_alone(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    work.up()
    before = {file: file.read_text() for file in work.state.folder.rglob("*") if file.is_file()}
    plan.run(str(work.file), "", "lxc")
    assert "0 of them changed" in said(capsys)
    work.file.write_text(SLOWER)
    plan.run(str(work.file), "", "lxc")
    told = said(capsys)
    assert "files in" in told and "/.lab/ha/plan, 4 of them not what lab ha has: ./inv up applies them" in told
    assert (work.advertised(), work.advertised("plan"), work.stored) == ("0.2", "5", 0.2)
    for file, text in before.items():
        assert file.name in ("lock", RECORD) or file.read_text() == text
    work.file.write_text(DEFINITION)
    done: list[str] = []
    render = Bringup._render
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bringup, "_render", lambda *given: done.extend(render(*given)) or [])
        work.up()
    assert done == [], "nothing is rendered anew because of a plan"


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, in one line."""
    return " ".join("".join(capsys.readouterr()).split())
