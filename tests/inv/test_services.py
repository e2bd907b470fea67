"""What ``inv`` does about the services of the packages that it installs."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
from fresh import Host

from lab.waiting import wait_for


class TestServices:
    """No service of an installed package starts, and the host's own rules come back unharmed."""

    def test_they_are_blocked_while_packages_are_installed_only(self, bare: Host) -> None:
        bare.inv("up", "--provider", "lxc")
        assert (bare.folder / "policy-seen").read_text().endswith("exit 101\n")
        assert list((bare.folder / "sbin").iterdir()) == []

    @pytest.mark.parametrize("kind", ["file", "link"])
    @pytest.mark.parametrize("ends", ["well", "ill"])
    def test_the_hosts_own_policy_comes_back(self, bare: Host, kind: str, ends: str) -> None:
        own = bare.folder / "own-policy"
        own.write_text("#!/bin/sh\nexit 104\n")
        own.chmod(0o750)
        if kind == "link":
            bare.policy.symlink_to(own)
        else:
            own.rename(bare.policy)
        if ends == "ill":
            (bare.folder / "apt-fails").touch()
        bare.inv("up", "--provider", "lxc")
        assert "exit 101" in (bare.folder / "policy-seen").read_text()
        assert bare.policy.is_symlink() == (kind == "link")
        assert bare.policy.read_text() == "#!/bin/sh\nexit 104\n"
        assert bare.policy.stat().st_mode & 0o777 == 0o750
        assert [file.name for file in bare.policy.parent.iterdir()] == ["policy-rc.d"]

    def at_work(self, host: Host, after: str = "") -> subprocess.Popen[str]:
        """An ``up`` whose apt has begun, and waits: before all packages, or ``after`` one of them."""
        (host.folder / ("apt-waits-after" if after else "apt-waits")).write_text(after)
        process = host.start("up", "--provider", "lxc")
        wait_for("apt to be at work", (host.folder / "waiting").exists, bool, seconds=20, interval=0.02)
        return process

    def interrupted(self, host: Host, number: signal.Signals, after: str = "") -> tuple[int, str]:
        """Run until apt is at work, then send the signal as a terminal does: to all. Its end, and what it said."""
        process = self.at_work(host, after)
        os.killpg(process.pid, number)
        _, said = process.communicate(timeout=20)
        (host.folder / ("apt-waits-after" if after else "apt-waits")).unlink()
        return process.returncode, said

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_an_interrupt_restores_it(self, bare: Host, number: signal.Signals) -> None:
        bare.policy.write_text("own")
        status, said = self.interrupted(bare, number)
        assert status == 130
        assert "the same command goes on from here" in said
        assert bare.policy.read_text() == "own"
        assert [file.name for file in bare.policy.parent.iterdir()] == ["policy-rc.d"]

    @pytest.mark.parametrize("own", ["", "own"])
    def test_what_sigkill_prevented_the_next_call_does(self, bare: Host, own: str) -> None:
        if own:
            bare.policy.write_text(own)
        self.interrupted(bare, signal.SIGKILL)
        assert "exit 101" in bare.policy.read_text()
        bare.inv("--list")
        assert [file.read_text() for file in bare.policy.parent.iterdir()] == ([own] if own else [])

    def test_a_second_call_leaves_it_to_the_one_at_work(self, bare: Host) -> None:
        process = self.at_work(bare)
        bare.inv("--list")
        assert "exit 101" in bare.policy.read_text()
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=20)

    def disabled(self, host: Host) -> list[str]:
        """The units that were, in the order."""
        return [line.split()[-1] for line in host.log("systemctl") if line.startswith("disable")]

    def test_units_that_came_with_it_do_not_start_at_the_next_boot(self, bare: Host) -> None:
        (bare.folder / "systemd").mkdir()
        bare.inv("up", "--provider", "lxc")
        assert self.disabled(bare) == ["lxc", "lxc-monitord"], "lxc-net is at work"
        assert not any("haproxy" in line or "libvirt" in line for line in bare.log("systemctl")), "not ours to touch"

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_they_do_not_either_where_an_interrupt_comes_behind_them(self, bare: Host, number: signal.Signals) -> None:
        (bare.folder / "systemd").mkdir()
        assert self.interrupted(bare, number, after="lxc")[0] == 130
        assert self.disabled(bare) == ["lxc", "lxc-monitord"]
        assert bare.inv("up", "--provider", "lxc").returncode == 0
        assert self.disabled(bare) == ["lxc", "lxc-monitord"], "the rest has no units"

    @pytest.mark.parametrize("argv", [("--list",), ("up", "--provider", "lxc")])
    def test_after_sigkill_the_next_call_sees_to_them(self, bare: Host, argv: tuple[str, ...]) -> None:
        """Whatever is asked for: whether or not a package is still missing."""
        (bare.folder / "systemd").mkdir()
        self.interrupted(bare, signal.SIGKILL, after="lxc")
        assert self.disabled(bare) == []
        assert bare.inv(*argv).returncode == 0
        assert self.disabled(bare) == ["lxc", "lxc-monitord"]
        assert list(bare.policy.parent.iterdir()) == []

    def test_nor_where_apt_fails_behind_them(self, bare: Host) -> None:
        (bare.folder / "systemd").mkdir()
        (bare.folder / "not-offered").write_text("mmdebstrap\n")
        assert bare.inv("up", "--provider", "lxc").returncode == 1
        assert self.disabled(bare) == ["lxc", "lxc-monitord"]

    def test_one_that_a_person_had_enabled_stays_so(self, bare: Host) -> None:
        """Such as a self-made one of the same name."""
        (bare.folder / "systemd").mkdir()
        (bare.folder / "own-units").write_text("lxc-monitord\n")
        bare.inv("up", "--provider", "lxc")
        assert self.disabled(bare) == ["lxc"]

    def test_one_that_cannot_be_disabled_is_named_and_keeps_nothing_blocked(self, bare: Host) -> None:
        (bare.folder / "systemd").mkdir()
        (bare.folder / "disable-fails").touch()
        done = bare.inv("up", "--provider", "lxc")
        assert "systemctl disable lxc" in done.stderr
        assert list(bare.policy.parent.iterdir()) == []

    def test_libvirts_sockets_do_not_either(self, bare: Host) -> None:
        """Since Debian 13 they come with the daemon's own package."""
        (bare.folder / "systemd").mkdir()
        bare.inv("up", "--provider", "libvirt")
        disabled = set(self.disabled(bare))
        assert {"libvirtd", "libvirtd.socket", "libvirt-guests", "virtlogd", "virtlogd.socket"} <= disabled
