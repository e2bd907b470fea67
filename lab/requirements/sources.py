"""Where box and Kubernetes come from when they must be built."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lab.cache import Cache
from lab.debian.mirrors import HELPER, elsewhere, releases, silent
from lab.debian.sources import configured
from lab.errors import LabError
from lab.payload.choose import choose
from lab.providers.libvirt.siting import refuse_unreachable
from lab.requirements.finding import Finding, Grade
from lab.requirements.scope import Scope
from lab.siting import KUBERNETES


def mirrors(scope: Scope) -> Finding:
    """The mirrors that box and Kubernetes are built from; what is in the cache needs them no more."""
    fetched = scope.building(fetched=True)
    grade = Grade.BAD if fetched else Grade.NOTE
    if not Path(HELPER).exists():
        return Finding("mirrors", "no apt on this host", grade, "box and Kubernetes are built on Debian")
    try:
        found = configured()
        asked = releases(found)
        quiet = silent(asked)
    except LabError as error:
        return Finding("mirrors", error.message, grade, error.hint)
    if not quiet:
        answered = f"{len(asked)} configured, all answer" if asked else ""
        others = f"not asked, as it is no web address: {', '.join(left)}" if (left := elsewhere(found)) else ""
        seen = "; ".join(filter(None, (answered, others)))
        return Finding("mirrors", seen, Grade.GOOD if asked else Grade.NOTE)
    told = "; ".join(f"{address}: {words}" for address, words in quiet.items())
    unneeded = "only ./inv up --refresh needs them: the cache is filled"
    hint = f"up builds {fetched} from them" if fetched else unneeded
    return Finding("mirrors", f"{len(quiet)} of {len(asked)} do not answer: {told}", grade, hint)


def kubernetes(scope: Scope) -> Finding:
    """A source that has the wanted version and can give it on this host, be it out of the cache."""
    wanted = scope.topology.definition.kubernetes
    anew = any(part.name == KUBERNETES for part in scope.parts)
    try:
        chosen, why = choose(Cache.default(), wanted.source, wanted.version, refresh=anew)
    except LabError as error:
        return Finding("Kubernetes", error.message, Grade.BAD, error.hint)
    return Finding("Kubernetes", f"{chosen.version}, source {why}", Grade.GOOD)


def public_box(scope: Scope) -> Iterator[Finding]:
    """A box that is named must be within Vagrant's reach."""
    box = scope.topology.definition.machine.box
    if scope.containers or not box.name:
        return
    try:
        refuse_unreachable(box, scope.daemon, scope.site.identity.state)
    except LabError as error:
        yield Finding("box", error.message, Grade.BAD, error.hint)
