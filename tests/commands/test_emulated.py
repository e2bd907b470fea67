"""What ``up`` and ``plan`` say, before anything is made, of a lab whose machines will be emulated."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import siting
from lab.commands import plan, up
from lab.errors import UsageError
from lab.identity import Identity
from lab.plan.site import VirtualSite
from lab.project import DEFAULT_DEFINITION
from lab.providers.libvirt.daemon import DaemonKind
from lab.providers.libvirt.probe import Driver
from lab.providers.libvirt.siting import Hypervisor
from lab.state import State

#: Two of the timers that the default definition leaves to the driver, as emulated machines get them.
FOLLOWS = "keepalived.advert_interval 1, keepalived.hang_check.interval 10"

#: The default definition with one timer set that an emulated machine cannot keep.
TOO_FAST = DEFAULT_DEFINITION.read_text().replace("# inter: 0.2", "inter: 0.2")
WARNING = "haproxy.check.inter: 0.2 s is shorter than emulated machines keep"


class Enough(Exception):
    """The rest of ``up`` is not wanted."""


@pytest.fixture(autouse=True)
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone's folder of the test's own, in which no ``up`` gets as far as work."""

    def work(*_: object, **__: object) -> None:
        raise Enough

    monkeypatch.setattr(plan, "FOLDER", tmp_path)
    monkeypatch.setattr(up, "FOLDER", tmp_path)
    monkeypatch.setattr(up, "Bringup", work)
    return tmp_path


@pytest.fixture(params=["qemu", "kvm"])
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The driver that this host would choose."""
    has(monkeypatch, request.param)
    return str(request.param)


def has(monkeypatch: pytest.MonkeyPatch, driver: str) -> None:
    found = Hypervisor(DaemonKind("private", "none runs"), Driver(driver, "so it is"), "qemu:///system")
    monkeypatch.setattr(siting.hypervisors, "choose", lambda definition: found)
    monkeypatch.setattr(up, "refuse", lambda scope: None)  # whatever else this host lacks


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, in one line."""
    return " ".join("".join(capsys.readouterr()).split())


def bring_up(definition: Path | str = "", provider: str = "libvirt") -> None:
    with pytest.raises(Enough):
        up.run(str(definition), "", provider, "loadbalancer", refresh=False, verbose=False)


def test_plan_shows_what_this_hosts_machines_would_get(
    driver: str, clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan.run("", "", "libvirt")
    interval = {"qemu": "1", "kvm": "0.2"}[driver]
    keepalived = (clone / ".lab" / "ha" / "nodes" / "master2" / "keepalived.conf").read_text()
    assert f"    advert_int {interval}\n" in keepalived
    assert "    interface eth1\n" in keepalived
    assert f'libvirt.driver = "{driver}"' in (clone / ".lab" / "ha" / "Vagrantfile").read_text()
    assert (FOLLOWS in said(capsys)) == (driver == "qemu")


def test_plan_of_containers_is_what_it_was(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan.run("", "", "lxc")
    golden = Path(__file__).parents[1] / "plan" / "golden" / "ha" / "nodes" / "master2" / "keepalived.conf"
    assert (clone / ".lab" / "ha" / "nodes" / "master2" / "keepalived.conf").read_text() == golden.read_text()
    assert "unset timers" not in said(capsys)


def test_plan_works_where_no_machine_could_be_made(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(definition: object) -> Hypervisor:
        raise UsageError("libvirt.driver kvm does not work here: no vmx")

    monkeypatch.setattr(siting.hypervisors, "choose", refuse)
    file = clone / "kvm.yaml"
    file.write_text(DEFAULT_DEFINITION.read_text().replace("driver: auto", "driver: kvm"))
    plan.run(str(file), "", "libvirt")
    assert 'libvirt.driver = "kvm"' in (clone / ".lab" / "ha" / "Vagrantfile").read_text()
    assert "no machine could be made on this host: libvirt.driver kvm does not work here" in said(capsys)
    with pytest.raises(UsageError, match="does not work here"):
        up.run(str(file), "", "libvirt", "loadbalancer", refresh=False, verbose=False)


def test_up_says_which_timers_follow_the_driver(driver: str, capsys: pytest.CaptureFixture[str]) -> None:
    bring_up()
    assert (FOLLOWS in said(capsys)) == (driver == "qemu")


def test_a_set_timer_that_emulated_machines_cannot_keep_is_warned_about_before_anything_boots(
    driver: str, clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = clone / "fast.yaml"
    file.write_text(TOO_FAST)
    bring_up(file)
    assert (WARNING in said(capsys)) == (driver == "qemu")
    plan.run(str(file), "", "libvirt")
    assert (WARNING in said(capsys)) == (driver == "qemu")


def test_a_lab_that_exists_is_told_of_by_the_driver_it_was_made_with(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    has(monkeypatch, "kvm")
    state = State(Identity("ha", clone))
    state.store_site(VirtualSite(state.identity, "qemu", "private"))
    bring_up(provider="auto")
    assert FOLLOWS in said(capsys)
    plan.run("", "", "")
    assert FOLLOWS in said(capsys)
