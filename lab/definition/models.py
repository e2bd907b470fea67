"""The definition as data: every field that a person may write, with its default. Rules between them: ``rules``."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lab.definition.fields import flag, ipv4_address, ipv4_network, seconds, text, whole
from lab.kubernetes.release import DEFAULT
from lab.model.functions import ROLES, Functions

LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
LABEL_RIGHT = "lower-case letters, digits and inner hyphens, such as master1"

#: A name in the DNS (RFC 1123, 2.1): labels of at most 63 characters, the last not of digits alone, or an IPv4 address.
_DNS_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
HOST = rf"({_DNS_LABEL}\.)*(?![0-9]+\Z){_DNS_LABEL}|({_OCTET}\.){{3}}{_OCTET}"

#: A public box: somebody's, or one that was added under a name alone.
BOX = r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)?"
BOX_RIGHT = "a box name such as debian/bookworm64"

#: Of a URL's characters (RFC 3986, 2) those that neither shells nor quotes give a meaning to; the others as %NN.
BOX_URL = r"((https?|file)://|/)[A-Za-z0-9._~:/?@+,=&%-]*"
BOX_URL_RIGHT = "https://…, file:///… or a path that begins with /; what is no letter, digit or ._~:/?@+,=&- as %NN"

#: What may stand behind the ? of a libvirt URI: no parameter that names a program to run (command, netcat).
_PARAMETER = (
    r"(keyfile|known_hosts|known_hosts_verify|mode|no_sanity|no_tty|no_verify|proxy|socket|sshauth)"
    r"=[A-Za-z0-9_.,/~-]*"
)

#: driver[+transport]://[user@][host][:port]/path[?parameters] (libvirt.org/uri.html), no name of which is an option.
LIBVIRT_URI = (
    r"qemu(\+[a-z0-9]+)?://"
    r"([A-Za-z0-9_][A-Za-z0-9_.-]*@)?([A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\])?(:[0-9]+)?"
    rf"(/[A-Za-z0-9_./-]*)?(\?{_PARAMETER}(&{_PARAMETER})*)?"
)
LIBVIRT_URI_RIGHT = (
    "a libvirt URI such as qemu:///system or qemu+ssh://USER@HOST/system?keyfile=FILE (no command=, no netcat=)"
)

#: A release of Kubernetes, as its makers write it (semver.org, 2): no zeros before a number.
RELEASE = r"v(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}"

#: haproxy's own limit for a timer is 24 days; a day is enough for anything here.
DAY = 86400.0


class Section(BaseModel):
    """A part of a definition: unknown fields are refused, a section with nothing in it means its defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing_means_defaults(cls, value: Any) -> Any:
        return {} if value is None else value


class Network(Section):
    """The lab's networks. None of them may overlap."""

    subnet: Annotated[IPv4Network, ipv4_network(29, 16)] = Field(
        default=IPv4Network("10.21.0.0/24"), description="the machines' private network; its first address is the host"
    )
    vip: Annotated[IPv4Address, ipv4_address()] = Field(
        default=IPv4Address("10.21.0.100"), description="the virtual IP in front of all masters, inside the subnet"
    )
    port: Annotated[int, whole(1, 65535)] = Field(
        default=16443, description="haproxy's port on the VIP and on every master"
    )
    pods: Annotated[IPv4Network, ipv4_network(24, 8)] = Field(
        default=IPv4Network("10.244.0.0/16"), description="the pods' network; each node gets a /24 of it"
    )
    services: Annotated[IPv4Network, ipv4_network(28, 12)] = Field(
        default=IPv4Network("10.96.0.0/16"), description="the services' network (/12 at the largest)"
    )


class Box(Section):
    """The Vagrant box. Without a name, one is built locally from the distribution's packages."""

    name: Annotated[str, text(f"({BOX})?", BOX_RIGHT, 120)] = Field(
        default="", description="a public box's name; empty: build one"
    )
    version: Annotated[str, text(r"([0-9A-Za-z][0-9A-Za-z.+_-]*)?", "a version such as 12.20240905.1", 60)] = Field(
        default="", description="the public box's version"
    )
    url: Annotated[str, text(f"({BOX_URL})?", BOX_URL_RIGHT, 500)] = Field(
        default="", description="where to get the public box; empty: Vagrant's own index"
    )
    checksum: Annotated[str, text(r"([0-9a-f]{64})?", "64 hexadecimal digits (SHA-256)", 64)] = Field(
        default="", description="SHA-256 of the public box's file"
    )


class MachineDefaults(Section):
    """What every machine gets unless its node says otherwise."""

    cpus: Annotated[int, whole(1, 64)] = Field(default=2, description="processors (virtual machines only)")
    memory: Annotated[int, whole(128, 262144, "MiB")] = Field(
        default=2048, description="memory in MiB (virtual machines only)"
    )
    box: Box = Field(default_factory=Box, description="the image that machines start from")


class NodeSpec(Section):
    """One machine."""

    name: Annotated[str, text(LABEL, LABEL_RIGHT, 40)] = Field(description="host name, node name and backend name")
    role: Literal["master", "worker"] = Field(description="master: control plane and load balancer; worker: pods only")
    address: Annotated[IPv4Address, ipv4_address()] | None = Field(
        default=None, description="address in the subnet; derived from the node's position when absent"
    )
    priority: Annotated[int, whole(1, 254)] | None = Field(
        default=None, description="VRRP priority of a master (the best holds the VIP); derived when absent"
    )
    cpus: Annotated[int, whole(1, 64)] | None = Field(default=None, description="overrides machine")
    memory: Annotated[int, whole(128, 262144, "MiB")] | None = Field(default=None, description="overrides machine")

    @property
    def functions(self) -> Functions:
        """What the node is there for, of which its role is the short form."""
        return ROLES[self.role]


class Detection(Section):
    """How keepalived learns that haproxy is gone."""

    how: Literal["track_file", "script"] = Field(
        default="track_file",
        description="track_file: haproxy's unit says so the moment it starts or ends; script: asked at an interval",
    )
    weight: Annotated[int, whole(-254, 253)] = Field(
        default=0,
        description="0: a master without haproxy gives the VIP up at once (FAULT); otherwise added to its priority, "
        "a positive weight while haproxy is well, a negative one while it is not",
    )
    test: Literal["listening", "answers", "apiserver"] = Field(
        default="answers",
        description="(script) listening: the port is listened on; answers: haproxy itself reacts; apiserver: an "
        "apiserver answers through it",
    )
    interval: Annotated[int, whole(1, 3600, "seconds")] = Field(
        default=2, description="(script) seconds between two runs; keepalived knows whole seconds only"
    )
    timeout: Annotated[int, whole(1, 3600, "seconds")] = Field(
        default=1, description="(script) seconds after which a run has failed"
    )
    fall: Annotated[int, whole(1, 100)] = Field(default=1, description="(script) failed runs in a row until it counts")
    rise: Annotated[int, whole(1, 100)] = Field(default=1, description="(script) good runs in a row until it counts")


class HangCheck(Section):
    """The truth check beside the detection: a haproxy that runs but no longer reacts puts its master into FAULT."""

    enabled: Annotated[bool, flag()] = Field(default=True, description="look at all?")
    interval: Annotated[int, whole(1, 3600, "seconds")] = Field(default=1, description="seconds between two looks")
    timeout: Annotated[int, whole(1, 3600, "seconds")] = Field(default=1, description="silence that means hung")
    fall: Annotated[int, whole(1, 100)] = Field(default=2, description="failed looks in a row until it counts")
    rise: Annotated[int, whole(1, 100)] = Field(default=1, description="good looks in a row until it counts")


class Garp(Section):
    """Gratuitous ARP: how the new holder tells the network where the VIP is now. Defaults repair a lost one early."""

    repeat: Annotated[int, whole(1, 100)] = Field(default=3, description="packets sent at once")
    delay: Annotated[int, whole(0, 3600, "seconds")] = Field(
        default=1, description="seconds until they are sent a second time (0: they are not)"
    )
    refresh: Annotated[int, whole(0, 3600, "seconds")] = Field(
        default=2, description="seconds between reminders while holding the VIP (0: none)"
    )


class Keepalived(Section):
    """The VIP: who holds it and how fast it moves."""

    vrrp_version: Literal[2, 3] = Field(default=3, description="3 knows advertisements faster than a second")
    advert_interval: Annotated[float, seconds(0.01, 40.95)] = Field(
        default=0.2, description="seconds between two advertisements (version 2: whole seconds)"
    )
    state: Literal["BACKUP", "MASTER"] = Field(
        default="BACKUP", description="the first master's state at start; MASTER only adds a move"
    )
    router_id: Annotated[int, whole(1, 255)] = Field(default=51, description="VRRP's virtual router id")
    preempt: Annotated[bool, flag()] = Field(
        default=True, description="does the best master take the VIP back once it is well again?"
    )
    detection: Detection = Field(default_factory=Detection, description="how a missing haproxy is noticed")
    hang_check: HangCheck = Field(default_factory=HangCheck, description="how a hung haproxy is noticed")
    garp: Garp = Field(default_factory=Garp, description="how the network learns of a move")


class Timeouts(Section):
    """haproxy's timeouts, in seconds."""

    connect: Annotated[float, seconds(0.01, DAY)] = Field(default=0.25, description="for a backend to accept")
    check: Annotated[float, seconds(0.01, DAY)] = Field(default=0.5, description="for a check to be answered")
    client: Annotated[float, seconds(0.1, DAY)] = Field(
        default=60.0, description="a client's silence before data flows"
    )
    server: Annotated[float, seconds(0.1, DAY)] = Field(
        default=60.0, description="a backend's silence before data flows"
    )
    tunnel: Annotated[float, seconds(0.1, DAY)] | None = Field(
        default=DAY,
        description="silence on a stream once data has flowed (logs -f, exec, watches); null: client and server apply",
    )


class TcpKeepalive(Section):
    """Probes on silent streams to apiservers: a machine that vanished refuses nothing, and holds them for hours."""

    enabled: Annotated[bool, flag()] = Field(default=True, description="probe at all?")
    idle: Annotated[int, whole(1, 3600, "seconds")] = Field(default=5, description="silence until the first probe")
    interval: Annotated[int, whole(1, 3600, "seconds")] = Field(default=1, description="seconds between two probes")
    count: Annotated[int, whole(1, 100)] = Field(default=3, description="unanswered probes until the stream is ended")

    @property
    def dead_after(self) -> int:
        """Seconds after which a stream to a machine that answers nothing has ended, however much was sent to it."""
        return self.idle + self.interval * self.count


class BackendCheck(Section):
    """How haproxy finds out which apiservers are well.

    /readyz asks etcd too, and is red everywhere for a moment when etcd's leader is killed: in three of six rounds new
    connections were refused for 0.4 to 0.5 s. Without it (``/readyz?exclude=etcd``) none was, but an apiserver whose
    own member is gone kept its share of clients: what needs etcd failed for 0.9 to 5.8 s instead of 1.3 to 2.0 s (6
    rounds each, v1.20.2).
    """

    kind: Literal["httpchk", "tcp"] = Field(default="httpchk", description="httpchk: asks over TLS; tcp: connects")
    path: Annotated[str, text(r"/[A-Za-z0-9_.~!&()*+,;=:@/?-]*", "a path such as /readyz", 100)] = Field(
        default="/readyz", description="(httpchk) what is asked; /readyz also reports a graceful termination"
    )
    inter: Annotated[float, seconds(0.01, DAY)] = Field(default=0.2, description="seconds between two checks")
    fall: Annotated[int, whole(1, 100)] = Field(default=2, description="failed checks in a row until a backend is out")
    rise: Annotated[int, whole(1, 100)] = Field(default=2, description="good checks in a row until it is back")


class Haproxy(Section):
    """The load balancer on every master."""

    balance: Literal["roundrobin", "static-rr", "leastconn", "first", "source", "random"] = Field(
        default="roundrobin", description="haproxy's algorithm"
    )
    retries: Annotated[int, whole(0, 100)] = Field(default=3, description="further attempts when a backend refuses")
    redispatch: Literal["every", "last", "never"] = Field(
        default="every", description="which of these attempts may go to another backend"
    )
    timeouts: Timeouts = Field(default_factory=Timeouts, description="all in seconds")
    check: BackendCheck = Field(default_factory=BackendCheck, description="health checks of the apiservers")
    tcp_keepalive: TcpKeepalive = Field(
        default_factory=TcpKeepalive, description="how a stream to a dead apiserver is noticed"
    )


class Audit(Section):
    """The apiservers' audit logs, in which case api-spread counts who answered."""

    enabled: Annotated[bool, flag()] = Field(default=True, description="write them at all?")
    max_size: Annotated[int, whole(1, 1024, "MiB")] = Field(default=20, description="MiB until a log is rotated")
    max_backups: Annotated[int, whole(0, 100)] = Field(default=2, description="rotated logs that are kept")


class Kubernetes(Section):
    """Which Kubernetes."""

    version: Annotated[str, text(RELEASE, f"a release such as {DEFAULT.version}", 20)] = Field(
        default=DEFAULT.version, description="the release, with its v"
    )
    source: Literal["auto", "debian", "upstream", "bundle"] = Field(
        default="auto", description="where programs and images come from; auto: the first that works"
    )
    audit: Audit = Field(default_factory=Audit, description="audit logs")
    extra_sans: tuple[Annotated[str, text(HOST, "a DNS name or an IPv4 address", 253)], ...] = Field(
        default=(), description="further names and addresses for the apiservers' certificates"
    )


class Libvirt(Section):
    """Only for virtual machines."""

    uri: Annotated[str, text(f"({LIBVIRT_URI})?", LIBVIRT_URI_RIGHT, 200)] = Field(
        default="", description="which libvirt; empty: the system's when one runs, else one of the lab's own"
    )
    driver: Literal["auto", "kvm", "qemu"] = Field(
        default="auto", description="kvm: hardware virtualisation; qemu: plain emulation; auto: what really works"
    )


class Definition(Section):
    """A whole lab."""

    name: Annotated[str, text(r"[a-z]([-a-z0-9]*[a-z0-9])?", "a name such as ha", 32)] = Field(
        default="ha", description="the lab's name"
    )
    provider: Literal["auto", "lxc", "libvirt"] = Field(
        default="auto",
        description="lxc: containers; libvirt: VMs; auto: libvirt where KVM works or a field is set that only VMs have",
    )
    network: Network = Field(default_factory=Network, description="the lab's networks")
    nodes: tuple[NodeSpec, ...] = Field(description="the machines, at least one of them a master")
    machine: MachineDefaults = Field(default_factory=MachineDefaults, description="what every machine gets")
    keepalived: Keepalived = Field(default_factory=Keepalived, description="the VIP")
    haproxy: Haproxy = Field(default_factory=Haproxy, description="the load balancer")
    kubernetes: Kubernetes = Field(default_factory=Kubernetes, description="the cluster")
    libvirt: Libvirt = Field(default_factory=Libvirt, description="virtual machines only")
