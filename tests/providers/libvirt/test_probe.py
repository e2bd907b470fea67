"""Whether hardware virtualisation is believed in: flags, then a guest that really ran."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from lab.errors import UsageError
from lab.host.processor import virtualisation_flag
from lab.providers.libvirt import probe


@pytest.mark.parametrize(
    ("cpuinfo", "flag"),
    [
        ("flags\t\t: fpu vme vmx sse\n", "vmx"),
        ("processor: 0\nflags\t\t: fpu svm\nbugs: spectre\n", "svm"),
        ("flags\t\t: fpu vme sse\n", ""),
        ("flags\t\t: vmxnet svm_lock\n", ""),
        ("vmx flags\t: vnmi\nflags\t\t: fpu\n", ""),
        ("model name: vmx\n", ""),
        ("", ""),
    ],
)
def test_virtualisation_is_what_the_processors_flags_say(cpuinfo: str, flag: str) -> None:
    assert virtualisation_flag(cpuinfo) == flag


def test_the_probe_guest_is_one_bootable_sector() -> None:
    sector = probe.boot_sector()
    assert len(sector) == 512
    assert sector.endswith(b"\x55\xaa")


def test_the_probe_guest_runs_where_guests_can_run() -> None:
    assert probe.guest_trouble("tcg", seconds=30.0) == ""


def test_it_runs_from_a_temporary_folder_with_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "mein Läb, und mehr"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    assert probe.guest_trouble("tcg", seconds=30.0) == ""


def test_a_guest_that_does_not_start_is_no_virtualisation() -> None:
    assert "status 1" in probe.guest_trouble("no-such-accelerator")


def test_a_guest_that_hangs_is_no_virtualisation(tmp_path: Path) -> None:
    hangs = tmp_path / "hangs"
    hangs.write_text("#!/bin/sh\nexec sleep 60\n")
    hangs.chmod(0o755)
    assert "hung for 0 s" in probe.guest_trouble("kvm", str(hangs), seconds=0.2)


def test_a_guest_that_ends_otherwise_is_no_virtualisation(tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    ends.write_text("#!/bin/sh\necho kvm is not for you >&2\nexit 0\n")
    ends.chmod(0o755)
    assert probe.guest_trouble("kvm", str(ends)) == "a probe guest ended with status 0: kvm is not for you"


def test_emulation_on_demand_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "local_kvm_trouble", lambda: pytest.fail("asked"))
    assert probe.choose("qemu").name == "qemu"


def test_auto_falls_back_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "local_kvm_trouble", lambda: "the moon is full")
    assert probe.choose("auto") == probe.Driver("qemu", "plain emulation, because the moon is full")


def test_kvm_on_demand_that_does_not_work_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "local_kvm_trouble", lambda: "the moon is full")
    with pytest.raises(UsageError, match="the moon is full"):
        probe.choose("kvm")


def test_kvm_that_works_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "local_kvm_trouble", lambda: "")
    assert {probe.choose("auto").name, probe.choose("kvm").name} == {"kvm"}


CAPABILITIES = """<capabilities><guest><os_type>hvm</os_type><arch name='{arch}'><domain type='qemu'/>{more}</arch>
</guest></capabilities>"""


@pytest.mark.parametrize(
    ("arch", "more", "works"),
    [("x86_64", "<domain type='kvm'/>", True), ("x86_64", "", False), ("aarch64", "<domain type='kvm'/>", False)],
)
def test_another_host_says_itself_whether_it_has_kvm(arch: str, more: str, works: bool) -> None:
    assert (probe.capabilities_trouble(CAPABILITIES.format(arch=arch, more=more)) == "") is works
