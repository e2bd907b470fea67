"""A libvirt daemon: the system's, or one on another host (one that lives and dies with the lab: ``private``)."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from lab.command import LineSink
from lab.errors import LabError, UsageError
from lab.plan import site

#: Where a system's own daemon listens: the one for everything, and the modular one for QEMU.
SYSTEM_SOCKETS = (Path("/run/libvirt/libvirt-sock"), Path("/run/libvirt/virtqemud-sock"))


class Daemon(Protocol):
    """Who runs the machines, and how to reach it."""

    @property
    def kind(self) -> str:
        """system, remote or private."""

    @property
    def uri(self) -> str:
        """For libvirt-python, which runs in the host's own namespaces."""

    @property
    def enter(self) -> tuple[str, ...]:
        """The command prefix into the lab's network and the daemon's view of the files."""

    def ssh_jump(self) -> tuple[str, ...]:
        """ssh's words for the host through which it reaches the machines, () where none is needed."""

    def ensure(self, sink: LineSink) -> None:
        """Have it running; changes nothing when it does."""

    def running(self) -> bool:
        """Does it answer? Starts nothing."""

    def remove(self) -> list[str]:
        """End it and remove all that was its own; what was removed, in words."""


@dataclass(frozen=True)
class SystemDaemon:
    """The host's own daemon. The lab's networks lie in the host's namespace, so the host is in them already."""

    uri: str = "qemu:///system"
    kind: str = "system"

    @property
    def enter(self) -> tuple[str, ...]:
        """Nothing to enter."""
        return ()

    def ssh_jump(self) -> tuple[str, ...]:
        """The machines are on this host."""
        return ()

    def ensure(self, sink: LineSink) -> None:
        """Raise when it does not answer: starting the host's services is not the lab's business."""
        if not listening():
            raise LabError("the system's libvirt daemon does not answer", "start it: systemctl start libvirtd")

    def running(self) -> bool:
        """Does its socket answer?"""
        return listening()

    def remove(self) -> list[str]:
        """Nothing of the daemon itself is the lab's."""
        return []


@dataclass(frozen=True)
class RemoteDaemon:
    """A daemon on another host, reached over ssh."""

    uri: str
    kind: str = "remote"

    @property
    def enter(self) -> tuple[str, ...]:
        """The lab's network lies on the other host: nothing here leads into it, but ssh does (see ssh_jump)."""
        return ()

    def ssh_jump(self) -> tuple[str, ...]:
        """The other host, which is no option of ssh's whatever it is called, with libvirt's own key for it."""
        parts = urlsplit(self.uri)
        user = f"{parts.username}@" if parts.username else ""
        port = ("-p", str(parts.port)) if parts.port else ()
        key = tuple(word for file in parse_qs(parts.query).get("keyfile", ()) for word in ("-i", file))
        return (*port, *key, "--", f"{user}{parts.hostname}")

    def ensure(self, sink: LineSink) -> None:
        """Whether it answers shows at the first connection."""

    def running(self) -> bool:
        """Assumed: the connection itself says when it is not."""
        return True

    def remove(self) -> list[str]:
        """Nothing of it is on this host."""
        return []


def listening(sockets: tuple[Path, ...] = SYSTEM_SOCKETS) -> bool:
    """Does a daemon answer on one of these sockets? Raises UsageError when this user may not ask."""
    for path in sockets:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(5.0)
        try:
            client.connect(str(path))
            return True
        except PermissionError as error:
            raise UsageError(
                f"{path}: permission denied: a libvirt daemon runs, but this user may not use it",
                "join its group, then log in again: sudo usermod --append --groups libvirt $USER",
            ) from error
        except OSError:
            continue  # not there, or nobody behind it: both mean that this daemon does not run
        finally:
            client.close()
    return False


@dataclass(frozen=True)
class DaemonKind:
    """The chosen kind of daemon and why, for people."""

    kind: site.Daemon
    why: str


def choose_kind(uri: str) -> DaemonKind:
    """The kind of daemon for a new lab, and why.

    The definition's ``uri`` when it has one, else the system's when it runs, else a private one.

    Raises UsageError for URIs that cannot work, and when a private one would be needed without being root.
    """
    if uri and uri != SystemDaemon().uri:
        refuse_unusable(uri)
        return DaemonKind("remote" if "+" in uri else "system", f"the definition names {uri}")
    if listening():
        return DaemonKind("system", "the system's libvirt daemon runs")
    if uri:
        raise LabError("the definition wants qemu:///system, but no such daemon runs", "systemctl start libvirtd")
    if os.geteuid() != 0:
        raise UsageError(
            "no libvirt daemon runs on this host, and a private one needs root",
            "start the system's (systemctl start libvirtd) and join the group libvirt, or run as root",
        )
    return DaemonKind("private", "no libvirt daemon runs on this host: the lab gets one of its own")


def refuse_unusable(uri: str) -> None:
    """Raise UsageError, with the reason, for a libvirt URI with which the lab cannot work."""
    scheme, _, rest = uri.partition("://")
    driver, _, transport = scheme.partition("+")
    path = "/" + rest.partition("/")[2].partition("?")[0]
    if driver != "qemu":
        raise UsageError(
            f"libvirt.uri {uri}: the lab's machines are QEMU's", "qemu:///system or qemu+ssh://USER@HOST/system"
        )
    if path != "/system":
        raise UsageError(
            f"libvirt.uri {uri}: only /system has networks of its own; machines of a user's session cannot meet",
            "end it with /system",
        )
    if transport not in ("", "ssh", "libssh", "libssh2"):
        raise UsageError(
            f"libvirt.uri {uri}: Vagrant reaches the machines of another host through ssh, so the daemon must be too",
            "qemu+ssh://USER@HOST/system",
        )
    if transport and not rest.partition("/")[0]:
        raise UsageError(f"libvirt.uri {uri}: the host's name is missing", "qemu+ssh://USER@HOST/system")
