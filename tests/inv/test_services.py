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

    def at_work(self, host: Host) -> subprocess.Popen[str]:
        """An ``up`` whose apt has begun, and waits."""
        (host.folder / "apt-waits").touch()
        process = host.start("up", "--provider", "lxc")
        wait_for("apt to be at work", (host.folder / "waiting").exists, bool, seconds=20, interval=0.02)
        return process

    def interrupted(self, host: Host, number: signal.Signals) -> tuple[int, str]:
        """Run until apt is at work, then send the signal as a terminal does: to all. Its end, and what it said."""
        process = self.at_work(host)
        os.killpg(process.pid, number)
        _, said = process.communicate(timeout=20)
        (host.folder / "apt-waits").unlink()
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

    def test_units_that_came_with_it_do_not_start_at_the_next_boot(self, bare: Host) -> None:
        (bare.folder / "systemd").mkdir()
        bare.inv("up", "--provider", "lxc")
        disabled = [line.split()[-1] for line in bare.log("systemctl") if line.startswith("disable")]
        assert disabled == ["lxc", "lxc-monitord"], "lxc-net is at work"
        assert not any("haproxy" in line or "libvirt" in line for line in bare.log("systemctl")), "not ours to touch"

    def test_libvirts_sockets_do_not_either(self, bare: Host) -> None:
        """Since Debian 13 they come with the daemon's own package."""
        (bare.folder / "systemd").mkdir()
        bare.inv("up", "--provider", "libvirt")
        disabled = {line.split()[-1] for line in bare.log("systemctl") if line.startswith("disable")}
        assert {"libvirtd", "libvirtd.socket", "libvirt-guests", "virtlogd", "virtlogd.socket"} <= disabled
