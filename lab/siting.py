"""Finding the site for a lab: which provider, and the box and payload that its machines are made of."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lab import cgroups, keypair, quoting
from lab.box import libvirt as libvirt_box
from lab.box import lxc as lxc_box
from lab.cache import Cache, CacheError, Entry
from lab.command import Note
from lab.context import FOLDER
from lab.definition import Definition
from lab.definition.driver import EMULATION
from lab.errors import LabError
from lab.identity import Identity
from lab.parallel import gather, workers
from lab.payload import seed
from lab.payload.choose import choose, first
from lab.plan.site import Site
from lab.providers import choice
from lab.providers.libvirt import siting as hypervisors
from lab.stage import Stage
from lab.timeline import Timeline


def make_site(
    definition: Definition, identity: Identity, wanted: str, stage: Stage, timeline: Timeline, *, refresh: bool
) -> Site:
    """Choose the provider, then build what the cache lacks, box and payload side by side. Raises LabError."""
    chosen = choice.choose(wanted, definition)
    timeline.line(Note(f"provider {chosen.provider}: {chosen.why}"))
    site, why = foreseen(definition, identity, chosen.provider)
    for line in why:
        timeline.line(line)
    cache = Cache.default()
    if site.provider == "libvirt":
        return _virtual_machines(definition, site, cache, stage, timeline, refresh=refresh)
    return _containers(definition, site, cache, timeline, refresh=refresh)


def renewed(definition: Definition, site: Site, timeline: Timeline) -> Site:
    """The site with what only its new machines need as it was built, or built anew; the others go on as they are.

    Raises LabError where this host and this version of the project would make new machines from another box.
    """
    cache = Cache.default()
    if site.provider != "libvirt":
        with timeline.phase("image seed"):
            images = seed.prepare(cache, Path(site.rootfs), Path(site.payload), timeline.line)
        hook = shlex.split(site.seed_hook)[:1]
        return replace(site, seed_hook=quoting.shell([*hook, str(images)]), seed=str(images))
    stage = Stage.WORKERS if site.payload else Stage.LOADBALANCER
    built = _virtual_machines(definition, site, cache, stage, timeline, refresh=False)
    if (built.box_name, built.payload) != (site.box_name, site.payload):
        name = site.identity.name
        raise LabError(
            f"machines of lab {name} are made from {site.box_name} and {site.payload or 'no Kubernetes'}, "
            f"new ones would be from {built.box_name} and {built.payload or 'no Kubernetes'}",
            f"./inv destroy --lab {name}, then ./inv up makes them all from the new",
        )
    return replace(built, ssh_key=site.ssh_key)  # of an earlier version the lab has none


def foreseen(definition: Definition, identity: Identity, provider: str) -> tuple[Site, Sequence[str]]:
    """What a new lab gets on this host: all of its site but box and payload, and why, a line a decision.

    Builds nothing. Raises LabError where no machine could be made.
    """
    if provider != "libvirt":
        return Site(identity, provider, cgroups=cgroups.version()), ()
    found = hypervisors.choose(definition)
    site = Site(
        identity=identity,
        provider="libvirt",
        driver=found.driver,
        interface="eth1",
        libvirt_uri=found.uri,
        daemon=found.daemon,
        emulator=found.emulator,
        cgroups=libvirt_box.cgroups(definition.kubernetes.version),
    )
    return site, found.why


#: What the part is called that holds Kubernetes' programs and images.
KUBERNETES = "Kubernetes"


@dataclass(frozen=True)
class Part:
    """Something that is built once. ``space`` is the disk in bytes that it takes; ``fetched``: from package sources."""

    name: str
    space: int
    fetched: bool = True


def with_payload(definition: Definition, site: Site, stage: Stage) -> bool:
    """Are the machines given Kubernetes, whether or not this ``up`` goes as far as starting it?

    A lab that ends before Kubernetes does without where more is too slow (emulation), or where the host may be one on
    which Kubernetes cannot be built (a public box). Containers share what they are given: it costs them nothing.
    """
    spared = site.provider == "libvirt" and (site.driver == EMULATION or bool(definition.machine.box.name))
    return stage.has_kubernetes or not spared


def unbuilt(
    definition: Definition, provider: str, cache: Cache, *, payload: bool = True, refresh: bool = False
) -> tuple[Part, ...]:
    """What an ``up`` with this provider would have to build: of box, Kubernetes and images, what the cache has not.

    Without ``payload`` it is a lab that does without (see with_payload); ``refresh`` builds all of it anew.
    """
    wanted = definition.kubernetes
    source = first(wanted.source, wanted.version) if payload else None
    tree = source.tree(cache) if source is not None else None
    box, space = _box(definition, provider, cache, tree)
    parts = []
    if box is not None and (refresh or not box.ready):
        parts.append(Part("the box", space))
    if payload and (tree is None or refresh or not tree.ready):
        parts.append(Part(KUBERNETES, source.space(cache, refresh) if source is not None else 0))
    if provider == "lxc" and (parts or not _seeded(cache, box, tree)):
        parts.append(Part("the images' seed", seed.SPACE, fetched=False))
    return tuple(parts)


def _box(definition: Definition, provider: str, cache: Cache, tree: Entry | None) -> tuple[Entry | None, int]:
    """The box, None for a public one, and the bytes of disk that building it takes."""
    provision = FOLDER / "provision"
    if provider == "lxc":
        return lxc_box.entry(cache, provision), lxc_box.SPACE
    if definition.machine.box.name:
        return None, 0
    path = tree.path if tree is not None else None
    space = libvirt_box.SPACE + (libvirt_box.PAYLOAD_SPACE if path is not None else 0)
    return libvirt_box.entry(cache, provision, definition.kubernetes.version, path), space


def _seeded(cache: Cache, box: Entry | None, tree: Entry | None) -> bool:
    """Is there a seed of this box and payload, which are both built? (Of damaged ones none is known.)"""
    if box is None or tree is None:
        return False
    try:
        return seed.entry(cache, box.path / "rootfs", tree.path).ready
    except (CacheError, OSError):
        return False


def _containers(definition: Definition, site: Site, cache: Cache, timeline: Timeline, *, refresh: bool) -> Site:
    def box() -> lxc_box.Box:
        with timeline.phase("box"):
            return lxc_box.build(cache, FOLDER / "provision", timeline.line, refresh)

    def payload() -> Path:
        return _payload(definition, cache, timeline, refresh=refresh)

    with workers(3) as pool:
        futures = pool.submit(box), pool.submit(payload), pool.submit(keypair.ensure, site.identity.state)
        gather(futures)
        built, tree, public = futures[0].result(), futures[1].result(), futures[2].result()
    with timeline.phase("image seed"):
        images = seed.prepare(cache, built.rootfs, tree, timeline.line, refresh)
    return replace(
        site,
        box_name=built.name,
        box_version=built.version,
        box_url=built.file.as_uri(),
        rootfs=str(built.rootfs),
        payload=str(tree),
        seed_hook=quoting.shell([str(built.seed_hook), str(images)]),
        seed=str(images),
        ssh_key=public,
    )


def _virtual_machines(
    definition: Definition, site: Site, cache: Cache, stage: Stage, timeline: Timeline, *, refresh: bool
) -> Site:
    public = definition.machine.box
    hypervisors.refuse_unreachable(public, site.daemon, site.identity.state)
    site = replace(site, ssh_key=keypair.ensure(site.identity.state))
    wanted = with_payload(definition, site, stage)
    payload = _payload(definition, cache, timeline, refresh=refresh) if wanted else None
    if public.name:
        return replace(
            site, box_name=public.name, box_version=public.version, box_url=public.url, payload=str(payload or "")
        )
    with timeline.phase("box"):
        built = libvirt_box.build(
            cache,
            FOLDER / "provision",
            timeline.line,
            kubernetes=definition.kubernetes.version,
            payload=payload,
            refresh=refresh,
        )
    return replace(
        site,
        box_name=built.name,
        box_version=built.version,
        box_url=built.url,
        image=str(built.image),
        payload=str(payload or ""),
    )


def _payload(definition: Definition, cache: Cache, timeline: Timeline, *, refresh: bool) -> Path:
    wanted = definition.kubernetes
    with timeline.phase("Kubernetes payload"):
        source, why = choose(cache, wanted.source, wanted.version, refresh=refresh)
        timeline.line(f"Kubernetes {source.version}, source {why}")
        return source.prepare(cache, timeline.line, refresh)
