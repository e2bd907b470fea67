"""Finding the site for a lab: which provider, and the box and payload that its machines are made of."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab.box import lxc as lxc_box
from lab.cache import Cache
from lab.context import FOLDER
from lab.definition import Definition
from lab.identity import Identity
from lab.payload import seed
from lab.payload.choose import choose
from lab.plan.site import Site
from lab.providers import choice
from lab.provisioning import gather
from lab.stage import Stage
from lab.timeline import Timeline


def make_site(
    definition: Definition, identity: Identity, wanted: str, stage: Stage, timeline: Timeline, *, refresh: bool
) -> Site:
    """Choose the provider, then build what the cache lacks, box and payload side by side. Raises LabError."""
    chosen = choice.choose(wanted)
    timeline.line(f"provider {chosen.provider}: {chosen.why}")
    cache = Cache.default()
    return _containers(definition, identity, cache, timeline, refresh=refresh)


def _containers(definition: Definition, identity: Identity, cache: Cache, timeline: Timeline, *, refresh: bool) -> Site:
    def box() -> lxc_box.Box:
        with timeline.phase("box"):
            return lxc_box.build(cache, FOLDER / "provision", timeline.line, refresh)

    def payload() -> Path:
        with timeline.phase("Kubernetes payload"):
            source, why = choose(definition.kubernetes.source, definition.kubernetes.version)
            timeline.line(f"Kubernetes {source.version}, source {why}")
            return source.prepare(cache, timeline.line, refresh)

    with ThreadPoolExecutor(max_workers=2) as pool:
        futures = pool.submit(box), pool.submit(payload)
        gather(futures)
        built, tree = futures[0].result(), futures[1].result()
    with timeline.phase("image seed"):
        images = seed.prepare(cache, built.rootfs, tree, timeline.line)
    return Site(
        identity=identity,
        provider="lxc",
        interface="eth0",
        box_name=built.name,
        box_version=built.version,
        box_url=built.file.as_uri(),
        rootfs=str(built.rootfs),
        payload=str(tree),
        seed_hook=f"{built.seed_hook} {images}" if images else "",
    )
