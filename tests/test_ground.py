"""Names that never meet, waits with an end, phases, and files written whole or not at all."""

from __future__ import annotations

import json
import shutil
import stat
import time
from pathlib import Path

import pytest

from lab.errors import LabError, UsageError
from lab.identity import Identity
from lab.plan.site import Box, ContainerSite
from lab.state import MovedError, State
from lab.timeline import Phase, Timeline
from lab.waiting import WaitTimeout, wait_for

#: Linux's limit for the name of a network interface (IFNAMSIZ without its final zero).
INTERFACE_NAME = 15


class TestIdentity:
    """What a lab is called on its host."""

    @pytest.mark.parametrize("name", ["a", "ha", "workshop", "workshop-of-the-autumn", "seven77-tail"])
    def test_its_prefix_fits_an_interface_and_shows_the_name(self, name: str) -> None:
        prefix = Identity(name, Path("/home/a/lab")).prefix
        assert len(prefix) <= INTERFACE_NAME
        assert prefix.startswith(name[:7])
        assert "--" not in prefix

    def test_two_clones_and_two_labs_never_share_a_name(self) -> None:
        folders = [Path("/home/a/lab"), Path("/home/b/lab")]
        names = ["ha", "workshop-1", "workshop-2", "workshop"]
        identities = [Identity(name, folder) for name in names for folder in folders]
        assert len({identity.prefix for identity in identities}) == len(identities)
        assert len({identity.namespace for identity in identities}) == len(identities)

    @pytest.mark.parametrize("name", ["", "..", "../..", "a/b", "/etc", "A", "-a", "a-", "a b", "a*", "ha\n", "9"])
    def test_a_name_that_leads_elsewhere_is_refused(self, name: str) -> None:
        with pytest.raises(UsageError, match="no lab is called"):
            Identity(name, Path("/home/a/lab"))

    def test_a_name_that_no_file_could_have_is_refused(self) -> None:
        with pytest.raises(UsageError, match="5000 characters"):
            Identity("a" * 5000, Path("/home/a/lab"))
        longest = f"{'a' * 32}-bench"  # of a definition, and what a bench adds to it
        assert Identity(longest, Path("/home/a/lab")).name == longest

    def test_it_is_the_same_every_time(self) -> None:
        assert Identity("ha", Path("/x")).machine("master1") == Identity("ha", Path("/x")).machine("master1")


class TestWaiting:
    """Every wait has an end, and says then what it last saw."""

    def test_it_returns_what_was_good(self) -> None:
        seen = iter([1, 2, 3])
        assert wait_for("three", lambda: next(seen), lambda n: n == 3, seconds=5, interval=0.001) == 3

    def test_it_looks_at_least_once(self) -> None:
        assert wait_for("it", lambda: "good", lambda seen: True, seconds=0) == "good"

    def test_past_the_deadline_it_says_what_it_saw(self) -> None:
        started = time.monotonic()
        with pytest.raises(WaitTimeout, match="waited 0 s for a holder; last seen: nobody") as caught:
            wait_for("a holder", lambda: "nobody", lambda seen: False, seconds=0.1, interval=0.02, hint="look there")
        assert caught.value.last == "nobody"
        assert caught.value.hint == "look there"
        assert 0.1 <= time.monotonic() - started < 2

    def test_an_error_while_looking_is_not_waited_out(self) -> None:
        with pytest.raises(LabError, match="broken"):
            wait_for("it", _broken, bool, seconds=60)


def _broken() -> bool:
    raise LabError("broken")


class Told:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []
        self.ended: list[Phase] = []

    def begin(self, machine: str, phase: str) -> None:
        self.events.append(("begin", machine, phase))

    def line(self, machine: str, text: str) -> None:
        self.events.append(("line", machine, text))

    def end(self, phase: Phase) -> None:
        self.events.append(("end", phase.machine, phase.name))
        self.ended.append(phase)


class TestTimeline:
    """Where the time went."""

    def test_phases_are_told_as_they_happen(self) -> None:
        told = Told()
        timeline = Timeline(told)
        with timeline.phase("init", "master1"):
            timeline.line("certificates", "master1")
        assert told.events == [
            ("begin", "master1", "init"),
            ("line", "master1", "certificates"),
            ("end", "master1", "init"),
        ]
        assert told.ended[0].ok

    def test_a_phase_that_fails_is_kept_and_marked(self) -> None:
        timeline = Timeline(Told())
        with pytest.raises(LabError), timeline.phase("join", "master2"):
            raise LabError("no")
        assert [(phase.name, phase.ok) for phase in timeline.phases] == [("join", False)]

    def test_it_is_stored_in_the_order_of_the_beginnings(self, tmp_path: Path) -> None:
        timeline = Timeline(Told())
        with timeline.phase("outer"), timeline.phase("inner"):
            pass
        timeline.store(tmp_path / "runs" / "phases.json")
        stored = json.loads((tmp_path / "runs" / "phases.json").read_text())
        assert [phase["name"] for phase in stored["phases"]] == ["outer", "inner"]
        assert stored["total"] >= stored["phases"][0]["duration"] >= stored["phases"][1]["duration"] >= 0


class TestState:
    """What a lab keeps in its folder."""

    @pytest.fixture
    def state(self, tmp_path: Path) -> State:
        return State(Identity("ha", tmp_path))

    def test_a_credential_is_readable_by_its_owner_only_even_over_an_old_file(self, state: State) -> None:
        state.write("kubeconfig", "old", 0o644)
        state.write("kubeconfig", "secret", 0o600)
        assert stat.S_IMODE(state.kubeconfig.stat().st_mode) == 0o600
        assert state.kubeconfig.read_text() == "secret"
        assert [file.name for file in state.folder.iterdir()] == ["kubeconfig"]

    def test_a_site_comes_back_as_it_was(self, state: State) -> None:
        site = ContainerSite(state.identity, Box("halab/x"), rootfs=Path("/cache/rootfs"))
        assert state.load_site() is None
        state.store_site(site)
        assert state.load_site() == site

    def test_a_lab_whose_clone_was_moved_is_refused_with_both_folders(self, state: State, tmp_path: Path) -> None:
        """All its names hold the folder that it was made in: elsewhere it would be looked for under other ones."""
        old, new = tmp_path / "old clone", tmp_path / "new"
        State(Identity("ha", old)).store_site(ContainerSite(state.identity))
        old.rename(new)
        with pytest.raises(MovedError) as caught:
            State(Identity("ha", new)).load_site()
        assert caught.value.message == f"lab ha was made in {old}, and this clone is {new}: it was moved"
        assert f"mv -T {new} '{old}'" in caught.value.hint

    def test_a_copied_clone_leaves_the_lab_to_the_one_it_was_copied_from(self, state: State, tmp_path: Path) -> None:
        state.store_site(ContainerSite(state.identity))
        copy = State(Identity("ha", tmp_path / "copy"))
        shutil.copytree(state.folder, copy.folder)
        with pytest.raises(MovedError, match="it is a copy") as caught:
            copy.load_site()
        assert f"rm -r {copy.folder}" in caught.value.hint
        assert state.load_site() is not None

    def test_a_clone_under_a_second_path_is_told_from_a_copy(self, state: State, tmp_path: Path) -> None:
        """Such as a bind mount: what a copy is told to remove would be the lab itself."""
        state.store_site(ContainerSite(state.identity))
        second = tmp_path / "second"
        second.symlink_to(tmp_path)
        with pytest.raises(MovedError, match="the same folder") as caught:
            State(Identity("ha", second)).load_site()
        assert caught.value.hint == f"cd {tmp_path}"

    def test_a_lab_of_an_earlier_version_is_taken_as_it_is(self, state: State) -> None:
        state.write("site.json", '{"provider": "lxc"}')
        assert state.load_site() == ContainerSite(state.identity)

    @pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"no": "such field"}'])
    def test_a_damaged_site_is_named(self, state: State, text: str) -> None:
        state.write("site.json", text)
        with pytest.raises(LabError, match=r"site\.json is damaged"):
            state.load_site()

    def test_one_command_at_a_time_changes_a_lab(self, state: State) -> None:
        with state.lock(), pytest.raises(LabError, match="another command is changing lab ha"), state.lock():
            pass
        with state.lock():
            pass

    def test_the_sockets_path_leaves_room_for_sshs_names(self, state: State) -> None:
        #: %C is 40 characters, ssh adds a random suffix of 17 while it makes the socket; unix(7) allows 107.
        assert len(str(state.sockets / ("x" * 57))) <= 107


def test_a_hint_is_part_of_the_message() -> None:
    assert str(UsageError("no machine m9", "its machines: m1")) == "no machine m9\nits machines: m1"
    assert str(LabError("no")) == "no"
