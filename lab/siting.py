"""Finding the site for a lab: which provider, and the box and payload that its machines are made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from lab import cgroups, keypair
from lab.box import libvirt as libvirt_box
from lab.box import lxc as lxc_box
from lab.cache import Cache, CacheError, Entry
from lab.command import Note
from lab.definition import Definition
from lab.definition.driver import EMULATION
from lab.errors import LabError
from lab.identity import Identity
from lab.kubernetes.release import release
from lab.parallel import gather, workers
from lab.payload import seed
from lab.payload.choose import choose, first
from lab.plan.site import Box, ContainerSite, Seed, Site, VirtualSite
from lab.project import FOLDER
from lab.providers import choice
from lab.providers.libvirt import siting as hypervisors
from lab.providers.libvirt.siting import Hypervisor
from lab.stage import Stage
from lab.timeline import Timeline


def make_site(
    definition: Definition, identity: Identity, wanted: str, stage: Stage, timeline: Timeline, *, refresh: bool
) -> Site:
    """Choose the provider, then build what the cache lacks, box and payload side by side. Raises LabError."""
    chosen = choice.choose(wanted, definition)
    timeline.line(Note(f"provider {chosen.provider}: {chosen.why}"))
    site, hypervisor = foreseen(definition, identity, chosen.provider)
    for line in hypervisor.told if hypervisor is not None else ():
        timeline.line(line)
    cache = Cache.default()
    if isinstance(site, VirtualSite):
        return _virtual_machines(definition, site, cache, stage, timeline, refresh=refresh)
    return _containers(definition, site, cache, timeline, refresh=refresh)


def renewed(definition: Definition, site: Site, timeline: Timeline) -> Site:
    """The site with what only its new machines need as it was built, or built anew; the others go on as they are.

    Raises LabError where this host and this version of the project would make new machines from another box.
    """
    cache = Cache.default()
    if isinstance(site, ContainerSite):
        if site.rootfs is None or site.payload is None or site.seed is None:
            return site
        with timeline.phase("image seed"):
            images = seed.prepare(cache, site.rootfs, site.payload, timeline.line)
        return replace(site, seed=replace(site.seed, images=images))
    stage = Stage.WORKERS if site.payload else Stage.LOADBALANCER
    built = _virtual_machines(definition, site, cache, stage, timeline, refresh=False)
    if (_named(built), built.payload) != (_named(site), site.payload):
        name = site.identity.name
        raise LabError(
            f"machines of lab {name} are made from {_named(site)} and {site.payload or 'no Kubernetes'}, "
            f"new ones would be from {_named(built)} and {built.payload or 'no Kubernetes'}",
            f"./inv destroy --lab {name}, then ./inv up makes them all from the new",
        )
    return replace(built, ssh_key=site.ssh_key)  # of an earlier version the lab has none


def _named(site: VirtualSite) -> str:
    return site.box.name if site.box is not None else ""


def foreseen(definition: Definition, identity: Identity, provider: str) -> tuple[Site, Hypervisor | None]:
    """What a new lab gets on this host: all of its site but box and payload, and which hypervisor was chosen and why.

    Builds nothing. Raises LabError where no machine could be made.
    """
    if provider == ContainerSite.provider:
        return ContainerSite(identity, cgroups=cgroups.version()), None
    found = hypervisors.choose(definition)
    site = VirtualSite(
        identity,
        driver=found.driver.name,
        daemon=found.daemon.kind,
        uri=found.uri,
        emulator=found.emulator,
        cgroups=release(definition.kubernetes.version).cgroups,
    )
    return site, found


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
    spared = site.driver == EMULATION or bool(definition.machine.box.name)
    return stage.has_kubernetes or site.shares_kernel or not spared


def unbuilt(
    definition: Definition, site: Site, cache: Cache, *, payload: bool = True, refresh: bool = False
) -> tuple[Part, ...]:
    """What an ``up`` for this site would have to build: of box, Kubernetes and images, what the cache has not.

    Without ``payload`` it is a lab that does without (see with_payload); ``refresh`` builds all of it anew.
    """
    wanted = definition.kubernetes
    source = first(wanted.source, wanted.version) if payload else None
    tree = source.tree(cache) if source is not None else None
    box, space = _box(definition, site, cache, tree)
    parts = []
    if box is not None and (refresh or not box.ready):
        parts.append(Part("the box", space))
    if payload and (tree is None or refresh or not tree.ready):
        parts.append(Part(KUBERNETES, source.space(cache, refresh) if source is not None else 0))
    if site.shares_kernel and (parts or not _seeded(cache, box, tree)):
        parts.append(Part("the images' seed", seed.SPACE, fetched=False))
    return tuple(parts)


def _box(definition: Definition, site: Site, cache: Cache, tree: Entry | None) -> tuple[Entry | None, int]:
    """The box, None for a public one, and the bytes of disk that building it takes."""
    provision = FOLDER / "provision"
    if site.shares_kernel:
        return lxc_box.entry(cache, provision), lxc_box.SPACE
    if definition.machine.box.name:
        return None, 0
    path = tree.path if tree is not None else None
    space = libvirt_box.SPACE + (libvirt_box.PAYLOAD_SPACE if path is not None else 0)
    return libvirt_box.entry(cache, provision, release(definition.kubernetes.version).cgroups, path), space


def _seeded(cache: Cache, box: Entry | None, tree: Entry | None) -> bool:
    """Is there a seed of this box and payload, which are both built? (Of damaged ones none is known.)"""
    if box is None or tree is None:
        return False
    try:
        return seed.entry(cache, box.path / "rootfs", tree.path).ready
    except (CacheError, OSError):
        return False


def _containers(
    definition: Definition, site: ContainerSite, cache: Cache, timeline: Timeline, *, refresh: bool
) -> Site:
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
        box=Box(built.name, built.version, built.file.as_uri()),
        rootfs=built.rootfs,
        payload=tree,
        seed=Seed(built.seed_hook, images),
        ssh_key=public,
    )


def _virtual_machines(
    definition: Definition, site: VirtualSite, cache: Cache, stage: Stage, timeline: Timeline, *, refresh: bool
) -> VirtualSite:
    public = definition.machine.box
    hypervisors.refuse_unreachable(public, site.daemon, site.identity.state)
    site = replace(site, ssh_key=keypair.ensure(site.identity.state))
    wanted = with_payload(definition, site, stage)
    payload = _payload(definition, cache, timeline, refresh=refresh) if wanted else None
    if public.name:
        return replace(site, box=Box(public.name, public.version, public.url), payload=payload)
    with timeline.phase("box"):
        built = libvirt_box.build(
            cache,
            FOLDER / "provision",
            timeline.line,
            cgroups=site.cgroups,
            payload=payload,
            refresh=refresh,
        )
    return replace(
        site,
        box=Box(built.name, built.version, built.url),
        image=built.image,
        payload=payload,
    )


def _payload(definition: Definition, cache: Cache, timeline: Timeline, *, refresh: bool) -> Path:
    wanted = definition.kubernetes
    with timeline.phase("Kubernetes payload"):
        source, why = choose(cache, wanted.source, wanted.version, refresh=refresh)
        timeline.line(f"Kubernetes {source.version}, source {why}")
        return source.prepare(cache, timeline.line, refresh)
