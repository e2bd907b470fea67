"""``up``: from a definition to a healthy lab, and from wherever an earlier ``up`` stopped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from lab.cache import Cache, CacheError, check_around
from lab.cluster.status import Status
from lab.command import Note
from lab.context import Lab, allocations, assemble
from lab.definition import Definition, load
from lab.errors import LabError, UsageError
from lab.faults.ledger import Ledger, heal_machines, heal_open
from lab.health import settle
from lab.model.operations import Operation, Replace, operations
from lab.patience import patience
from lab.plan import render, write
from lab.plan.change import Change
from lab.plan.site import Site
from lab.power import clocks_held, late, step_clocks
from lab.providers.base import MachineState
from lab.provisioning import Provisioner, kept
from lab.reach import wait_reachable
from lab.siting import make_site, renewed
from lab.stage import Stage
from lab.state import State
from lab.timeline import Timeline
from lab.topology import derive
from lab.usage import forget, remember


@dataclass(frozen=True)
class Bringup:
    """One run of ``up``. ``text`` is what ``definition`` was read from; ``wanted`` is the provider asked for: auto, lxc
    or libvirt.

    ``start_again`` gives up a cluster that was once whole and lost its quorum. ``watch`` watches the VIP while a load
    balancer that is in use changes.
    """

    definition: Definition
    text: str
    state: State
    wanted: str
    stage: Stage
    timeline: Timeline
    refresh: bool = False
    start_again: bool = False
    watch: Callable[[Lab, Change], AbstractContextManager[object]] = lambda lab, planned: nullcontext()

    def run(self) -> tuple[Lab, Status, list[str]]:
        """Bring the lab up; returns it, its status and what was done ([] when all was well already)."""
        refuse_another_shape(self.state, self.definition)
        site = replace(self._site(), patience=patience())
        done = self._render(site)
        lab = assemble(self.definition, self.state, site)
        done += self._boot(lab)
        heal_machines(lab, self.timeline.line)  # with a fault that was left open it may never be healthy
        stage = max(self.stage, self.state.stage or self.stage, key=lambda stage: stage.order)
        self.state.write("stage", stage)
        if stage is Stage.MACHINES:
            self._keep_definition()
            return lab, lab.status(), done
        done += self._provision(lab, stage)
        self._keep_definition()
        status = settle(lab, self.timeline)
        heal_open(lab, self.timeline.line)
        return lab, status, done

    def _site(self) -> Site:
        """The site that the lab was made for, or a new one (box and payload are built when the cache lacks them)."""
        known = self.state.load_site()
        if known is not None and self.wanted not in ("auto", known.provider):
            raise UsageError(
                f"lab {self.state.identity.name} exists with provider {known.provider}, not {self.wanted}",
                f"./inv destroy --lab {self.state.identity.name} first",
            )
        if known is not None and self.refresh:
            self._refuse_refresh(known)
            forget(Cache.default().root, self.state.identity.prefix)
        if known is not None and not self.refresh:
            if self.stage.has_kubernetes and not known.payload:
                raise UsageError(
                    f"the machines of lab {self.state.identity.name} were made without Kubernetes",
                    f"./inv destroy --lab {self.state.identity.name}, then ./inv up without --until",
                )
            there, absent = self._machines(known)
            if self._stands_well(known, there, absent):
                return known
            if there:
                return renewed(self.definition, known, self.timeline)
            forget(Cache.default().root, self.state.identity.prefix)
        wanted = known.provider if known is not None else self.wanted
        return make_site(self.definition, self.state.identity, wanted, self.stage, self.timeline, refresh=self.refresh)

    def _refuse_refresh(self, known: Site) -> None:
        """Machines stand on the very files that would be built anew: they would change below their feet."""
        there, _ = self._machines(known)
        if there:
            raise UsageError(
                f"--refresh would build anew what machines of lab {self.state.identity.name} are made of: "
                + ", ".join(there),
                f"./inv destroy --lab {self.state.identity.name} first",
            )

    def _stands_well(self, known: Site, there: Sequence[str], absent: Sequence[str]) -> bool:
        """Is what the machines are made from still as it was built? What none stands on may be built anew.

        Raises LabError when machines stand on something that is damaged or gone.
        """
        below = known.stands_on(new=False)
        try:
            for path in below:
                check_around(path)
        except CacheError as error:
            if there:
                raise LabError(
                    f"machines of lab {self.state.identity.name} are made from what is damaged: {error.message}",
                    f"./inv destroy --lab {self.state.identity.name}, then ./inv up builds it anew",
                ) from error
            return False
        others = [path for path in known.stands_on(new=bool(absent)) if path not in below]
        return all(is_whole(path) for path in others)

    def _remember(self, site: Site) -> None:
        """Tell the cache what must not change as long as this lab lives."""
        if paths := site.stands_on(new=False):
            remember(Cache.default().root, self.state.identity.prefix, self.state.folder, paths)

    def _machines(self, known: Site) -> tuple[list[str], list[str]]:
        """The machines that there are, and those that there are not."""
        states = assemble(self.definition, self.state, known).provider.states()
        absent = [name for name, state in states.items() if state is MachineState.ABSENT]
        return [name for name in states if name not in absent], absent

    def _render(self, site: Site) -> list[str]:
        given = allocations(self.definition, self.state)
        files = render(derive(self.definition, site.driver, given), site)
        changed = write(files, self.state.folder)
        self.state.store_allocations(given)
        if self.state.load_site() is None or not self.state.definition.is_file():
            self._keep_definition()  # a lab that was nothing before is known by it from the beginning
        self.state.store_site(site)
        self._remember(site)
        return [f"rendered {name}" for name in changed]

    def _keep_definition(self) -> None:
        """The lab is from now on what this definition says: before it was another one, and the steps had not run."""
        self.state.write("definition.yaml", self.text)

    def _boot(self, lab: Lab) -> list[str]:
        with self.timeline.phase("network"):
            lab.provider.prepare(self.timeline.line)
        states = lab.provider.states()
        absent = [name for name, state in states.items() if state is not MachineState.RUNNING]
        gone = [name for name, state in states.items() if state is MachineState.ABSENT]
        replaced = [one.node for one in due(self.state, self.definition, gone) if isinstance(one, Replace)]
        for went in Ledger.of(lab.state).forget(replaced):
            self.timeline.line(Note(f"{went}, left open by an earlier command, went with its machine"))
        if self.state.ssh_config.is_file():
            for name in absent:  # a connection to a machine that is gone must not be taken for one to the next
                lab.channel.forget(name)
        with clocks_held(late(lab, states)):
            if absent:
                with self.timeline.phase("machines"):
                    lab.provider.up(absent, self.timeline.line)
            self.state.write("ssh_config", lab.provider.ssh_config(), 0o600)
            wait_reachable(lab.machines.values(), lab.provider.states)  # an earlier up may have ended while they booted
            step_clocks(lab, states, self.timeline)
        return [f"started {name}" for name in absent]

    def _provision(self, lab: Lab, stage: Stage) -> list[str]:
        _, seen = lab.observe()
        give_up = self.state.give_up_cluster if self.start_again else None
        provisioner = Provisioner(
            lab.topology,
            lab.machines,
            kept(lab.state.folder, lab.topology),
            self.timeline,
            founded=self.state.founded,
            give_up=give_up,
            watch=lambda planned: self.watch(lab, planned),
        )
        done = provisioner.run(stage, seen)
        self.state.return_settings()
        if stage.has_kubernetes and (done or not self.state.kubeconfig.is_file()):
            first = lab.machines[lab.topology.control_planes[0].name]
            # The text goes into a file of its owner's and nowhere else: no sink, no label with content.
            credential = first.run("cat /etc/kubernetes/admin.conf", secret=True).check().stdout
            self.state.found(credential)
        return done


def due(state: State, definition: Definition, gone: Collection[str] = ()) -> list[Operation]:
    """What makes of the lab that is there the one of this definition; ``gone`` are machines that are no more."""
    site = state.load_site()
    if site is None or not state.definition.is_file():
        return []
    given = allocations(definition, state)
    there, wanted = (derive(one, site.driver, given) for one in (load(state.definition), definition))
    return operations(there, wanted, gone)


def refuse_another_shape(state: State, definition: Definition) -> None:
    """Raise UsageError for a definition that takes other operations than ``up`` can carry out.

    It would half apply; that is said before anything is touched.
    """
    refused = [operation for operation in due(state, definition) if operation.refusal]
    if refused:
        parts = ", ".join(dict.fromkeys(operation.part for operation in refused))
        whys = "\n".join(operation.refusal for operation in refused)
        raise UsageError(
            f"lab {state.identity.name} exists with another definition: {parts} changed\n{whys}",
            f"./inv destroy --lab {state.identity.name} first, or give the new definition a name of its own",
        )


def is_whole(path: Path) -> bool:
    """Is the entry of the cache in which ``path`` lies as it was built?"""
    try:
        check_around(path)
    except CacheError:
        return False
    return True
