"""What of a lab is still to be made on this host: it decides what must be there for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lab.cache import Cache
from lab.context import allocations, assemble
from lab.definition import Definition
from lab.definition.driver import EMULATION, unkept
from lab.errors import LabError
from lab.identity import Identity
from lab.plan.show import follows
from lab.plan.site import Daemon, Site, VirtualSite, undecided
from lab.providers import choice
from lab.providers.base import MachineState
from lab.providers.libvirt.siting import Hypervisor
from lab.requirements.finding import Finding, Grade
from lab.siting import Part, foreseen, unbuilt, with_payload
from lab.stage import Stage
from lab.state import State
from lab.topology import Node, Topology, derive


@dataclass(frozen=True)
class Scope:
    """``parts`` must be built and ``nodes`` be made, for a lab that comes as far as ``stage``.

    ``site`` is where and on what; ``decided`` says how that came about, and what stood in the way. With ``any_stage``
    nobody has said how far the lab shall come, and less may be enough.
    """

    topology: Topology
    site: Site
    stage: Stage
    parts: tuple[Part, ...]
    nodes: tuple[Node, ...]
    decided: tuple[Finding, ...] = ()
    any_stage: bool = False

    @property
    def containers(self) -> bool:
        """Will the machines be containers, which share this host's kernel?"""
        return self.site.shares_kernel

    @property
    def remote(self) -> bool:
        """Will the machines be another host's?"""
        return self.daemon == "remote"

    @property
    def daemon(self) -> Daemon | None:
        """Whose libvirt will have the machines; None for containers."""
        return self.site.daemon if isinstance(self.site, VirtualSite) else None

    def building(self, *, fetched: bool = False) -> str:
        """What must be built, in words, "" for nothing; with ``fetched`` only what comes from package sources."""
        return " and ".join(part.name for part in self.parts if part.fetched or not fetched)


def scope_of(wanted: Definition, state: State, provider: str, stage: Stage, *, refresh: bool = False) -> Scope:
    """What is still to be made, of a new lab or of one that is there."""
    site = state.load_site()
    if site is None:
        return of_new_lab(wanted, state.identity, provider, stage, refresh=refresh)
    return of_lab(wanted, state, site, stage, refresh=refresh)


def of_new_lab(
    definition: Definition, identity: Identity, wanted: str, stage: Stage | None = None, *, refresh: bool = False
) -> Scope:
    """All of a lab that there is not yet. ``wanted`` is the provider asked for: auto, lxc or libvirt.

    Without a ``stage`` it is as far as its machines can come: emulated ones are too slow for Kubernetes.

    Raises DefinitionError where the definition sets what machines of that provider cannot have.
    """
    chosen = choice.choose(wanted, definition)
    site, decided = _site(definition, identity, chosen.provider)
    topology = derive(definition, site.driver)
    until = stage or (Stage.LOADBALANCER if site.driver == EMULATION else Stage.WORKERS)
    return Scope(
        topology,
        site,
        until,
        _parts(definition, site, until, refresh=refresh),
        topology.nodes,
        (Finding("provider", f"{chosen.provider}: {chosen.why}", Grade.GOOD), *decided, *_timers(topology)),
        any_stage=stage is None,
    )


def of_lab(definition: Definition, state: State, site: Site, stage: Stage, *, refresh: bool = False) -> Scope:
    """What is still to be made of a lab that an earlier ``up`` made or began."""
    topology = derive(definition, site.driver, allocations(definition, state))
    nodes = tuple(_absent(definition, state, site, topology))
    there = not refresh and all(path.exists() for path in site.stands_on(new=bool(nodes)))
    return Scope(topology, site, stage, () if there else _parts(definition, site, stage, refresh=refresh), nodes)


def _parts(definition: Definition, site: Site, stage: Stage, *, refresh: bool) -> tuple[Part, ...]:
    payload = with_payload(definition, site, stage)
    return unbuilt(definition, site, Cache.default(), payload=payload, refresh=refresh)


def _site(definition: Definition, identity: Identity, provider: str) -> tuple[Site, Sequence[Finding]]:
    """What the lab gets on this host, and a finding a decision; where it gets none, what can be said without."""
    try:
        site, hypervisor = foreseen(definition, identity, provider)
    except LabError as error:
        return undecided(identity, provider), [Finding(provider, error.message, Grade.BAD, error.hint)]
    return site, list(_decided(hypervisor)) if hypervisor is not None else []


def _decided(hypervisor: Hypervisor) -> Iterator[Finding]:
    yield Finding("libvirt", f"{hypervisor.daemon.kind}, {hypervisor.daemon.why}", Grade.GOOD)
    seen = f"{hypervisor.driver.name}: {hypervisor.driver.why}"
    if hypervisor.driver.name == EMULATION:
        yield Finding("driver", seen, Grade.NOTE, "too slow for Kubernetes: ./inv up --until loadbalancer")
    else:
        yield Finding("driver", seen, Grade.GOOD)


def _timers(topology: Topology) -> Iterator[Finding]:
    """What follows the driver, and what was set and does not suit it."""
    if timers := follows(topology):
        yield Finding("unset timers", timers, Grade.NOTE)
    for problem in unkept(topology.definition, topology.driver):
        yield Finding(problem.path, problem.wrong, Grade.NOTE, f"better: {problem.right}")


def _absent(definition: Definition, state: State, site: Site, topology: Topology) -> Iterator[Node]:
    """The machines that there are not. A user who may not ask gets none: that this is so is a finding of its own."""
    try:
        states = assemble(definition, state, site).provider.states()
    except LabError:
        return
    for node in topology.nodes:
        if states[node.name] is MachineState.ABSENT:
            yield node
