"""Which packages ``inv`` finds missing, and what it does about them."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from fresh import LIBVIRT, LXC, Host, listed

from lab.waiting import wait_for


class TestPackages:
    """What is missing is installed and said; what a command does not need is not."""

    def test_missing_packages_are_named_and_installed(self, bare: Host) -> None:
        done = bare.inv("up", "--provider", "lxc")
        assert done.returncode == 0
        wanted = sorted(set(listed(*LXC)) - set(listed("python")))
        assert f"installing packages (their services are not started): {' '.join(wanted)}" in done.stderr
        update, install = bare.log("apt")
        assert update.endswith("update noninteractive")
        assert f"install -y --no-install-recommends {' '.join(wanted)}" in install
        assert "installing" not in bare.inv("up", "--provider", "lxc").stderr

    @pytest.mark.parametrize(
        ("argv", "groups"),
        [
            (["up"], LXC),
            (["up", "--provider", "lxc"], LXC),
            (["up", "--provider=libvirt"], LIBVIRT),
            (["up", "-p", "libvirt", "--until", "machines"], LIBVIRT),
            (["bench", "up"], LXC),
            (["bench", "up", "--provider", "libvirt"], LIBVIRT),
            (["test", "--fast"], [*LXC, *LIBVIRT, "test"]),
            (["--list"], []),
            (["--help", "up"], []),
            ([], []),
            (["status"], []),
            (["ssh", "master1", "apt", "install", "libvirt", "test"], []),
            (["kubectl", "-p", "libvirt"], []),
        ],
    )
    def test_each_command_needs_what_it_needs(self, bare: Host, argv: list[str], groups: Sequence[str]) -> None:
        bare.inv(*argv)
        assert sorted(bare.installed.read_text().split()) == sorted({*listed("python"), *listed("python", *groups)})

    def test_the_definitions_provider_counts(self, bare: Host) -> None:
        (bare.folder / "vm.yaml").write_text("provider: libvirt   # not auto\nnodes: [{name: m1, role: master}]\n")
        bare.inv("up", "--definition", "vm.yaml")
        assert "vagrant-libvirt" in bare.installed.read_text().split()

    def test_the_processor_counts(self, bare: Host) -> None:
        (bare.folder / "cpuinfo").write_text("flags\t\t: fpu vmx sse\n")
        (bare.folder / "kvm").touch()
        bare.inv("up")
        assert bare.needs() == listed("python", *LXC, *LIBVIRT)

    def test_a_lab_that_is_there_keeps_its_provider(self, bare: Host) -> None:
        site = bare.folder / "clone/.lab/vm/site.json"
        site.parent.mkdir(parents=True)
        site.write_text('{"provider": "libvirt"}')
        bare.inv("status")
        assert bare.needs() == listed("python", "libvirt")

    def test_what_python_needs_comes_first_and_then_what_the_program_asks_for(self, tmp_path: Path) -> None:
        host = Host(tmp_path)
        done = host.inv("up", "--provider", "lxc")
        assert done.returncode == 0, done.stderr
        update, python, others = host.log("apt")
        assert update.endswith("update noninteractive"), "once is enough"
        assert python.split()[-5:-1] == listed("python")
        assert others.split()[-len(listed(*LXC)) - 1 : -1] == listed(*LXC)
        assert list(host.policy.parent.iterdir()) == []

    def test_a_program_that_cannot_answer_ends_it(self, bare: Host) -> None:
        (bare.folder / "needs-fails").touch()
        done = bare.inv("up")
        assert (done.returncode, done.stdout) == (1, "")
        assert "a fault" in done.stderr
        assert bare.log("apt") == []

    @pytest.mark.parametrize(
        ("os_release", "debian"),
        [
            ('ID=debian\nVERSION_ID="12"\n', 12),
            ('ID=debian\nVERSION_ID="13"\n', 13),
            ('PRETTY_NAME="Debian GNU/Linux trixie/sid"\nID=debian\n', 99),  # testing
            ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n', 0),
            ("", 0),
        ],
    )
    def test_a_package_of_later_releases_is_needed_there_only(self, bare: Host, os_release: str, debian: int) -> None:
        (bare.folder / "os-release").write_text(os_release)
        assert bare.inv("up", "--provider", "libvirt").returncode == 0
        assert bare.needs() == listed("python", *LIBVIRT, debian=debian)
        assert ("libvirt-daemon-driver-network" in bare.needs()) == (debian >= 13)

    def test_without_root_it_says_what_to_type(self, tmp_path: Path) -> None:
        host = Host(tmp_path, uid=1000, packages=listed("python", "common", "build"))
        done = host.inv("up", "--provider", "lxc")
        assert done.returncode == 64
        assert "this needs root; run: sudo apt-get install --no-install-recommends lxc vagrant-lxc" in done.stderr
        assert host.log("apt") == []

    def test_without_apt_it_lists_programs_and_stops(self, bare: Host) -> None:
        bare.program("apt-get").unlink()
        bare.write_program("vagrant", "#!/bin/sh\n")
        done = bare.inv("up", "--provider", "lxc")
        assert done.returncode == 64
        said = done.stderr.strip().split(":")[-1].split()
        assert {"lxc-start", "mmdebstrap"} <= set(said)
        assert "vagrant" not in said
        assert done.stdout == ""
        assert "built on Debian only; README.md" in done.stderr

    def test_without_apt_nobody_is_asked_for_what_is_not_built(self, bare: Host) -> None:
        bare.program("apt-get").unlink()
        (bare.folder / "vm.yaml").write_text(
            "provider: libvirt\nmachine:\n  box: {name: debian/bookworm64}\nnodes: [{name: m1, role: master}]\n"
        )
        done = bare.inv("up", "--definition", "vm.yaml", "--until", "loadbalancer")
        assert done.returncode == 64
        said = set(done.stderr.strip().split(":")[-1].split())
        assert {"vagrant", "qemu-img"} <= said
        assert not said & {"mmdebstrap", "mcopy", "syslinux", "sfdisk", "lxc-start"}
        assert "Debian only" not in done.stderr

    def test_a_failure_shows_aptss_last_words_and_where_the_rest_is(self, bare: Host) -> None:
        (bare.folder / "apt-fails").touch()
        done = bare.inv("up", "--provider", "lxc")
        assert done.returncode == 1
        assert "E: Unable to locate package" in done.stderr
        log = Path(done.stderr.split("all of the output: ")[1].split(")")[0])
        assert "Unable to locate" in log.read_text()

    def test_packages_that_an_interrupted_apt_left_unconfigured_are_configured_first(self, bare: Host) -> None:
        (bare.folder / "unconfigured").touch()
        assert bare.inv("up", "--provider", "lxc").returncode == 0
        assert bare.log("dpkg") == ["--configure -a"]

    def test_nobody_elses_packages_are_configured(self, bare: Host) -> None:
        (bare.folder / "apt-fails").touch()
        assert bare.inv("up", "--provider", "lxc").returncode == 1
        assert bare.log("dpkg") == []


class TestALaterDebian:
    """A release that has no vagrant-lxc: Debian 12's is taken, from the same mirror, and all else from its own."""

    @pytest.fixture
    def later(self, bare: Host) -> Host:
        (bare.folder / "not-offered").write_text("vagrant-lxc\n")
        return bare

    def test_it_is_installed_after_all_the_others(self, later: Host) -> None:
        done = later.inv("up", "--provider", "lxc")
        assert done.returncode == 0, done.stderr
        assert later.needs() == listed("python", *LXC)
        _, own, older = later.log("apt")
        assert "vagrant-lxc" not in own and " lxc " in own
        assert older.split()[-2].endswith("/vagrant-lxc_1.0_all.deb")
        assert f"lab.debian.package vagrant-lxc PYTHONPATH={later.folder}/clone" in later.log("python")
        assert "this release has no vagrant-lxc: Debian 12's is taken" in done.stderr
        assert "installing" not in later.inv("up", "--provider", "lxc").stderr

    def test_what_was_fetched_for_it_does_not_stay(self, later: Host) -> None:
        later.inv("up", "--provider", "lxc")
        assert list(later.folder.glob("tmp.*")) == []

    def test_an_interrupt_while_it_is_fetched_loses_nothing(self, later: Host) -> None:
        (later.folder / "mirror-waits").touch()
        process = later.start("up", "--provider", "lxc")
        wait_for("the mirror to be asked", (later.folder / "waiting").exists, bool, seconds=20, interval=0.02)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=20)
        assert (process.returncode, "goes on from here" in said) == (130, True)
        assert [path for path in later.folder.glob("tmp.*") if path.is_dir()] == []
        assert list(later.policy.parent.iterdir()) == []
        (later.folder / "mirror-waits").unlink()
        assert later.inv("up", "--provider", "lxc").returncode == 0
        assert later.needs() == listed("python", *LXC)

    def test_where_there_is_one_it_is_the_releases_own(self, bare: Host) -> None:
        bare.inv("up", "--provider", "lxc")
        assert not any("lab.debian" in line for line in bare.log("python"))

    def test_a_mirror_without_it_is_told_and_the_next_call_goes_on(self, later: Host) -> None:
        (later.folder / "mirror-fails").touch()
        done = later.inv("up", "--provider", "lxc")
        assert done.returncode == 1
        assert "E: no source of Debian 12" in done.stderr
        assert "vagrant-lxc" not in later.needs()
        (later.folder / "mirror-fails").unlink()
        again = later.inv("up", "--provider", "lxc")
        assert again.returncode == 0
        assert "not started): vagrant-lxc\n" in again.stderr
        assert later.needs() == listed("python", *LXC)
