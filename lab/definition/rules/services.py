"""Rules about haproxy, Kubernetes and the provider."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from lab.definition.models import Definition
from lab.definition.problem import Problem, Severity
from lab.kubernetes.release import OLDEST, release, releases_of

#: Seconds of silence that a `kubectl logs -f` or a watch survives easily; below it users complain (kubernetes#94301).
QUIET_STREAM = 600.0


def version(definition: Definition) -> Iterator[Problem]:
    """The release exists in the source that is asked for."""
    kubernetes = definition.kubernetes
    path = "kubernetes.version"
    wanted, debians = release(kubernetes.version), releases_of("debian")[0].version
    if wanted.minor < OLDEST.minor:
        right = "v{}.{}.0 or later".format(*OLDEST.minor)
        yield Problem(path, f"{kubernetes.version} is older than anything the lab was made for", right)
    elif "debian" not in wanted.sources and kubernetes.source == "debian":
        wrong = f"source debian has no {kubernetes.version}"
        yield Problem(path, wrong, f"{debians}, or another source", also=("kubernetes.source",))
    elif "debian" not in wanted.sources and kubernetes.source == "auto":
        wrong = f"source debian has no {kubernetes.version}: it takes one of the other sources"
        yield Problem(path, wrong, debians, Severity.WARNING, also=("kubernetes.source",))


def streams(definition: Definition) -> Iterator[Problem]:
    """Idle streams outlive a coffee break."""
    timeouts = definition.haproxy.timeouts
    shortest = timeouts.tunnel if timeouts.tunnel is not None else min(timeouts.client, timeouts.server)
    if shortest < QUIET_STREAM:
        other = "client" if timeouts.client <= timeouts.server else "server"
        field = "tunnel" if timeouts.tunnel is not None else other
        wrong = f"logs -f, exec and watches are cut after {shortest:g} s of silence"
        yield Problem(f"haproxy.timeouts.{field}", wrong, "tunnel: 86400", Severity.WARNING, also=("haproxy.timeouts",))


def retries(definition: Definition) -> Iterator[Problem]:
    """A backend that refuses costs no client anything."""
    haproxy = definition.haproxy
    if haproxy.retries == 0 or haproxy.redispatch == "never":
        field = "retries" if haproxy.retries == 0 else "redispatch"
        wrong = "connections given to an apiserver that has just died fail, instead of going to another one"
        yield Problem(f"haproxy.{field}", wrong, "retries: 3, redispatch: every", Severity.WARNING)


def readiness(definition: Definition) -> Iterator[Problem]:
    """An apiserver that starts gets no clients before it can serve them."""
    if definition.haproxy.check.kind == "tcp":
        wrong = "an apiserver that starts is given clients as soon as it listens, seconds before it is ready"
        yield Problem("haproxy.check.kind", wrong, "httpchk", Severity.WARNING)


def spread(definition: Definition) -> Iterator[Problem]:
    """Every apiserver gets its share."""
    if definition.haproxy.balance in ("first", "source"):
        wrong = f"{definition.haproxy.balance} sends all of one client to one apiserver: api-spread must fail"
        yield Problem("haproxy.balance", wrong, "roundrobin", Severity.WARNING)


def box(definition: Definition) -> Iterator[Problem]:
    """A public box is pinned."""
    chosen = definition.machine.box
    if not chosen.name:
        for field in ("version", "url", "checksum"):
            if getattr(chosen, field):
                wrong = "means nothing without the name of a box"
                yield Problem(f"machine.box.{field}", wrong, "machine.box.name as well", also=("machine.box.name",))
        return
    if not chosen.version:
        wrong = f"{chosen.name} without a version is another box tomorrow"
        yield Problem("machine.box.version", wrong, "the version to use", Severity.WARNING, also=("machine.box.name",))
    if definition.provider == "lxc":
        wrong = "containers start from a box that is built locally"
        yield Problem("machine.box.name", wrong, "no name, or provider: libvirt", also=("provider",))
    elif release(definition.kubernetes.version).cgroups == "v1":
        wrong = (
            f"Kubernetes {definition.kubernetes.version} needs a kernel that boots with control groups v1, "
            "as the lab's own box does; most public ones boot with v2"
        )
        right = "no name, or a box whose kernel is started with systemd.unified_cgroup_hierarchy=0"
        also = ("kubernetes.version", "provider")
        yield Problem("machine.box.name", wrong, right, Severity.WARNING, also=also)


def libvirt(definition: Definition) -> Iterator[Problem]:
    """The URI names a host that there can be, and settings of virtual machines are not written for containers."""
    try:
        possible = urlsplit(definition.libvirt.uri).port != 0
    except ValueError:
        possible = False
    if not possible:
        wrong = f"{definition.libvirt.uri} has no host or no port that there can be"
        yield Problem("libvirt.uri", wrong, "a host name or an [IPv6 address], and a port from 1 to 65535")
    if definition.provider != "lxc":
        return
    for field, default in (("uri", ""), ("driver", "auto")):
        if getattr(definition.libvirt, field) != default:
            wrong = "means nothing for containers"
            yield Problem(f"libvirt.{field}", wrong, "provider: libvirt", Severity.WARNING, also=("provider",))


RULES = (version, streams, retries, readiness, spread, box, libvirt)
