"""A host with a kernel of its own, emulated in plain software: what Debian boots with is there, only slow.

It has no network: what it needs was put on its disk (see freshhost.py). Commands come to it over a serial line.
"""

from __future__ import annotations

import base64
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from freshhost import FreshHost
from running import Done, until

from lab.command import run
from lab.contained import contained

SCRIPT = Path(__file__).with_name("emulatedhost.sh")

#: What a machine with a kernel of its own needs beside a minimal Debian.
PACKAGES = ("systemd-sysv", "dbus", "udev", "kmod", "iproute2", "procps", "linux-image-cloud-amd64", "zstd")

#: An initial ram disk with the disk's driver alone: to unpack that of every disk takes an emulated processor long.
INITRAMFS = {
    "etc/initramfs-tools/conf.d/lab": "MODULES=list\nCOMPRESS=zstd\n",
    "etc/initramfs-tools/hooks/lab": (
        "#!/bin/sh\n"
        '[ "${1:-}" != prereqs ] || exit 0\n'
        ". /usr/share/initramfs-tools/hook-functions\n"
        "manual_add_modules virtio_pci virtio_blk ext4\n"
    ),
}

#: The line's name in the guest (virtio's own naming of ports).
PORT = "/dev/virtio-ports/commands"

#: Runs the other end of the line.
UNIT = f"""
[Unit]
Description=Commands of the tests
StartLimitIntervalSec=0
[Service]
ExecStart=/usr/local/sbin/emulatedhost {PORT}
# Its driver may be a module that is still being loaded.
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
"""

#: What a host does by itself and nobody waits for here.
NEEDLESS = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service",
    "fstrim.timer", "man-db.timer", "getty.target", "serial-getty@ttyS0.service", "systemd-timesyncd.service",
)  # fmt: skip

#: Bytes of the disk, which holds only what is written.
DISK = 16 << 30

#: Seconds for one look at what goes on in it.
LOOK = 300.0

#: Seconds to boot: 60 on two idle processors.
BOOT = 900.0


def prepare(host: FreshHost) -> None:
    """Give a fresh host what a machine needs to boot, and the other end of the line. Downloads packages."""
    for name, text in {**INITRAMFS, "etc/systemd/system/commands.service": UNIT}.items():
        _write(host.root / name, text)
    _write(host.root / "usr/local/sbin/emulatedhost", SCRIPT.read_text())
    install = "DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes --no-install-recommends install"
    host.run(f"apt-get --quiet update; {install} {' '.join(PACKAGES)}", seconds=900)
    host.run(f"systemctl enable commands.service && systemctl mask {' '.join(NEEDLESS)}")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755 if text.startswith("#!") else 0o644)


@dataclass
class EmulatedHost:
    """One that runs. ``console`` is the file of what its kernel and systemd say."""

    line: socket.socket
    console: Path
    _unread: bytes = field(default=b"", repr=False)

    def run(self, command: str, *, seconds: float, status: int | None = 0) -> Done:
        """Run a shell command to its end; ``status`` is the expected exit status, None when the caller judges.

        The test fails when there is no end in time, and shows what was said until then.
        """
        self.line.sendall(base64.b64encode(command.encode()) + b"\n")
        done = self.answer(command, seconds)
        return done if status is None else done.expect(status)

    def until(self, command: str, good: Callable[[str], bool], seconds: float) -> str:
        """What a command prints, the first time that is good; looks every few seconds."""
        look = partial(self.run, command, seconds=min(seconds, LOOK), status=None)
        return until(lambda: look().out, good, command, seconds, interval=10)

    def answer(self, command: str, seconds: float) -> Done:
        """What comes over the line up to the next exit status."""
        began = time.monotonic()
        said: list[str] = []
        while True:
            for line in self._lines(began + seconds - time.monotonic()):
                if line.startswith("= "):
                    return Done(command, int(line[2:]), "\n".join(said), "", time.monotonic() - began)
                said.append(line.removeprefix("| "))
            if time.monotonic() >= began + seconds:
                raise AssertionError(f"no end of {command} within {seconds:.0f} s:\n{self.last(said)}")

    def last(self, said: list[str]) -> str:
        """The last lines of a command and of the console, to be shown."""
        console = self.console.read_text(errors="replace").splitlines()[-30:]
        return "\n".join([*said[-40:], "── its console", *console])

    def _lines(self, seconds: float) -> Iterator[str]:
        """The lines that came within these seconds, as soon as there is one."""
        self.line.settimeout(max(seconds, 0.01))
        try:
            came = self.line.recv(65536)
        except TimeoutError:
            return
        if not came:
            raise AssertionError(f"the emulated host has ended:\n{self.last([])}")
        *lines, self._unread = (self._unread + came).split(b"\n")
        yield from (line.decode(errors="replace").rstrip("\r") for line in lines)


@contextmanager
def emulated(root: Path, folder: Path, *, memory: int = 5120, processors: int = 2) -> Iterator[EmulatedHost]:
    """Boot a root file system (see prepare) that nobody is in; ``memory`` in MiB, ``folder`` for disk and console."""
    disk, console, line = folder / "disk", folder / "console", folder / "line"
    for left in (disk, line):
        left.unlink(missing_ok=True)
    run(contained(["mkfs.ext4", "-q", "-F", "-d", str(root), str(disk), f"{DISK >> 10}k"]), label="mkfs.ext4").check()
    (kernel,), (initrd,) = root.glob("boot/vmlinuz-*"), root.glob("boot/initrd.img-*")
    argv = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot", "-nic", "none"]
    argv += ["-accel", "tcg,thread=multi,tb-size=512", "-smp", str(processors), "-m", str(memory)]
    # With five-level page tables Linux 6.12 takes its own addresses for wrong ones here, and /proc/self/mountinfo names
    # no mount point (seen with QEMU 7.2): no service that has mounts of its own starts.
    argv += ["-cpu", "max,svm=off,la57=off"]
    argv += ["-kernel", str(kernel), "-initrd", str(initrd)]
    argv += ["-append", "root=/dev/vda rw console=ttyS0 mitigations=off nowatchdog"]
    argv += ["-drive", f"file={disk},if=virtio,format=raw,cache=unsafe", "-device", "virtio-rng-pci"]
    argv += ["-serial", f"file:{console}", "-device", "virtio-serial-pci"]
    argv += ["-chardev", f"socket,id=line,path={line},server=on,wait=off"]
    argv += ["-device", f"virtserialport,chardev=line,name={Path(PORT).name}"]
    with subprocess.Popen(contained(argv), start_new_session=True) as machine:
        try:
            with socket.socket(socket.AF_UNIX) as ours:
                until(lambda: machine.poll() is not None or line.exists(), bool, "QEMU's line", 20)
                ours.connect(str(line))
                host = EmulatedHost(ours, console)
                host.answer("its start", BOOT)
                yield host
        finally:
            machine.kill()
