"""What rendering needs to know of the host besides the topology."""

from __future__ import annotations

from dataclasses import dataclass

from lab.identity import Identity


@dataclass(frozen=True)
class Site:
    """Where and on what a lab is made.

    ``driver`` is kvm or qemu for libvirt, "" for lxc; ``interface`` is the machines' interface in the lab's network;
    ``rootfs`` (the unpacked box, lxc only) and ``payload`` (Kubernetes' programs and images) are paths on the host, ""
    where there is none; ``seed_hook`` is the command that gives a new container its images, which lie in ``seed``. For
    libvirt, ``daemon`` is system, private or remote, ``emulator`` a program in QEMU's place ("" = QEMU itself) and
    ``image`` the box's disk on this host ("" = Vagrant brings a public box). ``ssh_key`` is the public half of the
    lab's own key ("" = the machines take Vagrant's, as those of an earlier version); ``cgroups`` the version of control
    groups that the machines see, v1 or v2; ``patience`` how many times longer than on an ordinary host things may take.
    All fields but the identity are text or a number, so that it can be stored.
    """

    identity: Identity
    provider: str
    driver: str = ""
    interface: str = "eth0"
    box_name: str = ""
    box_version: str = ""
    box_url: str = ""
    rootfs: str = ""
    payload: str = ""
    seed_hook: str = ""
    seed: str = ""
    libvirt_uri: str = ""
    daemon: str = ""
    emulator: str = ""
    image: str = ""
    ssh_key: str = ""
    cgroups: str = "v1"
    patience: float = 1.0

    @property
    def cgroup_driver(self) -> str:
        """Who makes the pods' control groups. A tree of version 2 has one owner: in the machines, systemd."""
        return "systemd" if self.cgroups == "v2" else "cgroupfs"
