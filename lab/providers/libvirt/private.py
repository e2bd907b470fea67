"""A libvirt daemon of the lab's own: started and ended by the lab, in its own namespaces, the host untouched."""

from __future__ import annotations

import select
import shutil
import subprocess
from contextlib import AbstractContextManager
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path

from lab.cache import Cache
from lab.command import LineSink, run
from lab.errors import LabError, UsageError
from lab.host.locks import locked
from lab.identity import Identity
from lab.providers.libvirt import process
from lab.providers.libvirt.daemon import listening
from lab.providers.libvirt.process import Process
from lab.providers.namespace import NetworkNamespace
from lab.waiting import WaitTimeout, wait_for

#: Where the sockets and process records of all labs' daemons lie, a folder a lab: gone with the host's restart.
RUN = Path("/run")

HOLD_SCRIPT = Path(__file__).with_name("hold.sh")

#: Seconds for the private daemon's start: it asks each QEMU program what it can do (measured: 8 to 11 s on two cores).
START_SECONDS = 90.0

#: Seconds for the daemon to end after SIGTERM.
END_SECONDS = 10.0

#: The longest path of a Unix socket (unix(7)), less libvirt's longest file name below the run folder.
RUN_PATH_LENGTH = 107 - len("/libvirt-admin-sock")

QEMU_CONF = """\
# The private daemon is root's alone and starts nothing but this lab's machines.
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
"""

LIBVIRTD_CONF = """\
auth_unix_rw = "none"
auth_unix_ro = "none"
unix_sock_rw_perms = "0700"
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
"""


@dataclass(frozen=True)
class PrivateDaemon:
    """A daemon of the lab's own, in a network and mount namespace of its own. Needs root.

    ``folder`` keeps what must survive a restart of the host (machines, disks, networks), ``run`` what must not
    (sockets, process records); ``capabilities`` is libvirt's own cache of what QEMU can do, shared by all labs: asking
    takes seconds.
    """

    network: NetworkNamespace
    folder: Path
    run: Path
    capabilities: Path
    kind: str = "private"

    @classmethod
    def of(cls, identity: Identity, host: IPv4Interface) -> PrivateDaemon:
        """The daemon of one lab; ``host`` is the host's address in its network."""
        return cls(
            network=NetworkNamespace(identity.namespace, host),
            folder=identity.state / "libvirt",
            run=RUN / identity.namespace,
            capabilities=Cache.default().root / "libvirt-capabilities",
        )

    @property
    def uri(self) -> str:
        """Through the socket's file, which needs no entering."""
        return f"qemu+unix:///system?socket={self.run}/libvirt/libvirt-sock"

    @property
    def enter(self) -> tuple[str, ...]:
        """Into the namespaces of the process that holds them, staying in the same folder."""
        holder = self._holder()
        if holder is None:
            raise LabError("the lab's private libvirt daemon does not run", "./inv up starts it again")
        return ("sh", "-c", f'exec nsenter --target {holder.pid} --mount --net --wdns="$PWD" -- "$@"', "enter")

    def ssh_jump(self) -> tuple[str, ...]:
        """Machines are reached from inside the namespace."""
        return ()

    def ensure(self, sink: LineSink) -> None:
        """Start what is missing: namespace, holder, daemon; commands that run at the same time start it once."""
        if len(str(self.run)) > RUN_PATH_LENGTH:
            raise UsageError(f"the path {self.run} is too long for libvirt's sockets")
        with self._locked():
            if self._holder() is None:
                self._write_configuration()
                self._hold()
            if self._daemon() is None:
                self._end_strays()
                sink("starting the lab's own libvirt daemon")
                self._start()

    def running(self) -> bool:
        """Do holder and daemon run?"""
        return self._holder() is not None and self._daemon() is not None

    def end(self) -> list[str]:
        """End daemon and holder; what was ended, in words. Machines go on until their namespace is removed."""
        removed = []
        for name, ended in (("libvirt daemon", self._daemon()), ("namespace holder", self._holder())):
            if ended is not None and ended.end(END_SECONDS):
                removed.append(f"{name} (process {ended.pid})")
        return removed

    def remove(self) -> list[str]:
        """End daemon, machines and helpers (all that lives in the lab's namespace), then remove its folders."""
        removed = self.end()
        if self.network.remove():
            removed.append(f"network namespace {self.network.name}")
        for path in (self.folder, self.run):
            if path.exists():
                shutil.rmtree(path)
                removed.append(f"folder {path}")
        return removed

    def images(self) -> Path:
        """The folder of the default storage pool, as this host sees it."""
        return self.folder / "lib" / "images"

    def _holder(self) -> Process | None:
        return process.load(self.run / "holder.json")

    def _daemon(self) -> Process | None:
        return process.load(self.run / "libvirtd.json")

    def _write_configuration(self) -> None:
        (self.folder / "etc").mkdir(parents=True, exist_ok=True)
        (self.folder / "etc" / "qemu.conf").write_text(QEMU_CONF)
        (self.folder / "etc" / "libvirtd.conf").write_text(LIBVIRTD_CONF)
        self.images().mkdir(parents=True, exist_ok=True)

    def _hold(self) -> None:
        """Make the namespaces and leave one process in them, so that they outlive this command."""
        if not self.network.exists:
            self.network.path.unlink(missing_ok=True)
            run(["ip", "netns", "add", self.network.name]).check("a private libvirt daemon needs root")
        run(["ip", "-n", self.network.name, "link", "set", "lo", "up"]).check()
        holder = subprocess.Popen(
            [
                "nsenter",
                f"--net={self.network.path}",
                "unshare",
                "--mount",
                "--propagation",
                "slave",
                str(HOLD_SCRIPT),
                str(self.folder),
                str(self.run / "libvirt"),
                str(self.capabilities),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        assert holder.stdout is not None
        ready, _, _ = select.select([holder.stdout], [], [], START_SECONDS)
        said = holder.stdout.readline() if ready else "(silence)"
        if said.strip() != "ready":
            said += holder.stdout.read() if ready else ""
            holder.kill()
            raise LabError(f"the lab's namespaces for libvirt could not be made: {said.strip()}")
        holder.stdout.close()
        self._record("holder.json", holder.pid)

    def _start(self) -> None:
        """Start the daemon inside, and wait until its socket answers."""
        log = self.folder / "log"
        log.mkdir(parents=True, exist_ok=True)
        with (log / "libvirtd.out").open("w") as output:
            daemon = subprocess.Popen(
                [*self.enter, "libvirtd"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
            )
        self._record("libvirtd.json", daemon.pid)
        socket = self.run / "libvirt" / "libvirt-sock"
        try:
            # A socket file has no event without a further library.
            wait_for(
                "the daemon's socket",
                lambda: daemon.poll() is not None or listening((socket,)),
                bool,
                seconds=START_SECONDS,
                interval=0.05,
            )
            started = daemon.poll() is None
        except WaitTimeout:
            started = False
        if not started:
            raise LabError(
                f"the lab's own libvirt daemon did not start (status {daemon.poll()})\n"
                + (log / "libvirtd.out").read_text()[-1000:],
                f"its log: {log}/libvirtd.log",
            )

    def _end_strays(self) -> None:
        """End a daemon that was started but never recorded (its starter was killed): its socket would be in the way."""
        for pid in self.network.pids():
            stray = Process.of(pid)
            if stray is not None and stray.name == "libvirtd":
                stray.end(END_SECONDS)

    def _record(self, name: str, pid: int) -> None:
        found = Process.of(pid)
        if found is None:
            raise LabError(f"a process of the lab's own libvirt daemon ended at once ({name})")
        process.save(self.run / name, found)

    def _locked(self) -> AbstractContextManager[None]:
        self.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        busy = LabError(f"another command has been starting the lab's libvirt for {START_SECONDS:.0f} s")
        return locked(self.run / "lock", START_SECONDS, busy)
