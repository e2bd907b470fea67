"""Finding the site for a lab: which provider, and the box and payload that its machines are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lab import quoting
from lab.box import libvirt as libvirt_box
from lab.box import lxc as lxc_box
from lab.cache import Cache, Entry
from lab.command import Note
from lab.context import FOLDER
from lab.definition import Definition
from lab.identity import Identity
from lab.parallel import gather, workers
from lab.payload import seed
from lab.payload.choose import choose, tree
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


def foreseen(definition: Definition, identity: Identity, provider: str) -> tuple[Site, Sequence[str]]:
    """What a new lab gets on this host: all of its site but box and payload, and why, a line a decision.

    Builds nothing. Raises LabError where no machine could be made.
    """
    if provider != "libvirt":
        return Site(identity, provider), ()
    found = hypervisors.choose(definition)
    site = Site(
        identity=identity,
        provider="libvirt",
        driver=found.driver,
        interface="eth1",
        libvirt_uri=found.uri,
        daemon=found.daemon,
        emulator=found.emulator,
    )
    return site, found.why


def unbuilt(definition: Definition, provider: str, cache: Cache, *, kubernetes: bool = True) -> list[str]:
    """What an ``up`` with this provider would have to build, in words: of box and Kubernetes, what the cache has not.

    Without ``kubernetes`` it is a lab that does without (see _virtual_machines).
    """
    wanted = definition.kubernetes
    payload = tree(cache, wanted.source, wanted.version) if kubernetes else None
    missing = []
    if provider == "lxc":
        box: Entry | None = lxc_box.entry(cache, FOLDER / "provision")
    elif definition.machine.box.name:
        box = None
    else:
        path = payload.path if payload is not None else None
        box = libvirt_box.entry(cache, FOLDER / "provision", wanted.version, path)
    if box is not None and not box.ready:
        missing.append("the box")
    if kubernetes and (payload is None or not payload.ready):
        missing.append("Kubernetes")
    return missing


def _containers(definition: Definition, site: Site, cache: Cache, timeline: Timeline, *, refresh: bool) -> Site:
    def box() -> lxc_box.Box:
        with timeline.phase("box"):
            return lxc_box.build(cache, FOLDER / "provision", timeline.line, refresh)

    def payload() -> Path:
        return _payload(definition, cache, timeline, refresh=refresh)

    with workers(2) as pool:
        futures = pool.submit(box), pool.submit(payload)
        gather(futures)
        built, tree = futures[0].result(), futures[1].result()
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
    )


def _virtual_machines(
    definition: Definition, site: Site, cache: Cache, stage: Stage, timeline: Timeline, *, refresh: bool
) -> Site:
    public = definition.machine.box
    hypervisors.refuse_unreachable(public, site.daemon, site.identity.state)
    # A lab that ends before Kubernetes does without where more is too slow (emulation), or where the host may be one on
    # which Kubernetes cannot be built (a public box).
    without = (site.driver == "qemu" or bool(public.name)) and not stage.has_kubernetes
    payload = None if without else _payload(definition, cache, timeline, refresh=refresh)
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
    with timeline.phase("Kubernetes payload"):
        source, why = choose(definition.kubernetes.source, definition.kubernetes.version)
        timeline.line(f"Kubernetes {source.version}, source {why}")
        return source.prepare(cache, timeline.line, refresh)
