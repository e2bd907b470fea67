"""All looks at a host: a table, asked side by side. The doctor shows what they find, ``up`` refuses by what is bad."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from lab.cache import Cache
from lab.errors import UsageError
from lab.parallel import gather, workers
from lab.providers.lxc import LXC_PATH
from lab.requirements import kernel, network, paths, rights, sources, space, vagrant
from lab.requirements.finding import Finding, Grade
from lab.requirements.scope import Scope

Asked = Callable[[Scope], bool]


@dataclass(frozen=True)
class Look:
    """One look at the host, and when what it finds matters to ``up``."""

    find: Callable[[Scope], Finding | Iterable[Finding]]
    asked: Asked


def _always(scope: Scope) -> bool:
    return True


def _building(scope: Scope) -> bool:
    return bool(scope.building(fetched=True))


def _making(scope: Scope) -> bool:
    return bool(scope.nodes)


def _either(scope: Scope) -> bool:
    return bool(scope.parts or scope.nodes)


def _making_containers(scope: Scope) -> bool:
    return _making(scope) and scope.containers


def _kernel(scope: Scope) -> Iterator[Finding]:
    """Virtual machines have kernels of their own."""
    if scope.containers:
        place = next(path for path in (LXC_PATH, *LXC_PATH.parents) if path.is_dir())
        yield from (*kernel.trial(place), kernel.cgroups(scope), kernel.log())


LOOKS: Sequence[Look] = (
    Look(rights.privileges, _always),
    Look(rights.folders, _always),
    Look(lambda scope: paths.paths(scope.site.identity.folder, Cache.default().root), _always),
    Look(vagrant.vagrant, _making),
    Look(_kernel, _making_containers),
    Look(space.memory, _making),
    Look(space.disk, _either),
    Look(network.network, _making),
    Look(sources.public_box, _making),
    Look(sources.mirrors, _building),
    Look(sources.kubernetes, _building),
)


def examine(scope: Scope, looks: Sequence[Look] = LOOKS) -> list[Finding]:
    """What every look finds, in the table's order, behind what was decided before."""
    with workers(len(looks)) as pool:
        futures = [pool.submit(_findings, look, scope) for look in looks]
        gather(futures)
    return [*scope.decided, *(finding for future in futures for finding in future.result())]


def _findings(look: Look, scope: Scope) -> list[Finding]:
    found = look.find(scope)
    return [found] if isinstance(found, Finding) else list(found)


def refuse(scope: Scope) -> None:
    """Raise UsageError with all that stands in the way of what is still to be made; what is there is not asked for."""
    found = examine(scope, [look for look in LOOKS if look.asked(scope)])
    bad = [finding for finding in found if finding.grade is Grade.BAD]
    if not bad:
        return
    told = [f"  {one.subject}: {one.seen}{f' → {one.hint}' if one.hint else ''}" for one in bad]
    raise UsageError(
        f"lab {scope.site.identity.name} cannot be made on this host ({scope.site.provider}):\n" + "\n".join(told),
        "./inv doctor shows all that was looked at",
    )
