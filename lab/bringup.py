"""``up``: from a definition to a healthy lab, and from wherever an earlier ``up`` stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.cluster.status import Status
from lab.context import Lab, assemble
from lab.definition import Definition, load
from lab.errors import LabError, UsageError
from lab.health import settle
from lab.plan import render, write
from lab.plan.site import Site
from lab.providers.base import MachineState
from lab.provisioning import Provisioner, Script
from lab.reach import wait_reachable
from lab.siting import make_site
from lab.stage import Stage
from lab.state import State
from lab.timeline import Timeline
from lab.topology import derive

#: What may change in the definition of a running lab: the steps of these parts run again. All else is fixed.
CHANGEABLE = frozenset({"keepalived", "haproxy"})


@dataclass(frozen=True)
class Bringup:
    """One run of ``up``. ``wanted`` is the provider asked for: auto, lxc or libvirt.

    ``heal`` ends the faults that an interrupted verification left open; it is called with False once the machines run,
    and with True once the lab is healthy.
    """

    definition: Definition
    source: Path
    state: State
    wanted: str
    stage: Stage
    timeline: Timeline
    refresh: bool = False
    heal: Callable[[Lab, bool], object] = lambda lab, settled: None

    def run(self) -> tuple[Lab, Status, list[str]]:
        """Bring the lab up; returns it, its status and what was done ([] when all was well already)."""
        refuse_another_shape(self.state, self.definition)
        site = self._site()
        done = self._render(site)
        lab = assemble(self.definition, self.state, site)
        done += self._boot(lab)
        self.heal(lab, False)
        stage = max(self.stage, self.state.stage or self.stage, key=lambda stage: stage.order)
        self.state.write("stage", stage)
        if stage is Stage.MACHINES:
            return lab, lab.status(), done
        done += self._provision(lab, stage)
        status = settle(lab, self.timeline)
        self.heal(lab, True)
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
        if known is not None and not self.refresh:
            if self.stage.has_kubernetes and not known.payload:
                raise UsageError(
                    f"the emulated machines of lab {self.state.identity.name} were made without Kubernetes",
                    f"./inv destroy --lab {self.state.identity.name}, then ./inv up without --until",
                )
            self._refuse_lost_cache(known)
            return known
        return make_site(
            self.definition, self.state.identity, self.wanted, self.stage, self.timeline, refresh=self.refresh
        )

    def _refuse_refresh(self, known: Site) -> None:
        """Machines stand on the very files that would be built anew: they would change below their feet."""
        states = assemble(self.definition, self.state, known).provider.states()
        there = [name for name, state in states.items() if state is not MachineState.ABSENT]
        if there:
            raise UsageError(
                f"--refresh would build anew what machines of lab {self.state.identity.name} are made of: "
                + ", ".join(there),
                f"./inv destroy --lab {self.state.identity.name} first",
            )

    def _refuse_lost_cache(self, site: Site) -> None:
        """Machines stand on the cache they were made from: without it they do not start, and LXC would not say why."""
        lost = [path for path in (site.rootfs, site.payload) if path and not Path(path).is_dir()]
        if lost:
            raise LabError(
                f"lab {self.state.identity.name} was made from {lost[0]}, which is gone",
                f"./inv destroy --lab {self.state.identity.name}, then ./inv up builds it anew",
            )

    def _render(self, site: Site) -> list[str]:
        files = render(derive(self.definition), site)
        changed = write(files, self.state.folder)
        self.state.write("definition.yaml", self.source.read_text())
        self.state.store_site(site)
        return [f"rendered {name}" for name in changed]

    def _boot(self, lab: Lab) -> list[str]:
        self.state.sockets.mkdir(parents=True, exist_ok=True)
        self.state.sockets.chmod(0o700)
        with self.timeline.phase("network"):
            lab.provider.prepare(self.timeline.line)
        absent = [name for name, state in lab.provider.states().items() if state is not MachineState.RUNNING]
        if absent:
            with self.timeline.phase("machines"):
                lab.provider.up(absent, self.timeline.line)
        self.state.write("ssh_config", lab.provider.ssh_config(), 0o600)
        wait_reachable(lab.machines.values())  # an earlier up may have ended while they booted
        return [f"started {name}" for name in absent]

    def _provision(self, lab: Lab, stage: Stage) -> list[str]:
        _, seen = lab.observe()
        provisioner = Provisioner(lab.topology, lab.machines, scripts(lab), self.timeline)
        done = provisioner.run(stage, seen)
        if stage.has_kubernetes and (done or not self.state.kubeconfig.is_file()):
            first = lab.machines[lab.topology.masters[0].name]
            # The text goes into a file of its owner's and nowhere else: no sink, no label with content.
            credential = first.run("cat /etc/kubernetes/admin.conf", secret=True).check().stdout
            self.state.write("kubeconfig", credential, 0o600)
        return done


def refuse_another_shape(state: State, definition: Definition) -> None:
    """Raise UsageError for a definition that differs from the existing lab's in what machines are born with.

    It would half apply; that is said before anything is touched.
    """
    if not state.definition.is_file() or state.load_site() is None:
        return
    old, new = load(state.definition).model_dump(mode="json"), definition.model_dump(mode="json")
    changed = [part for part in new if part not in CHANGEABLE and old.get(part) != new.get(part)]
    if changed:
        raise UsageError(
            f"lab {state.identity.name} exists with another definition: {', '.join(changed)} changed",
            f"./inv destroy --lab {state.identity.name} first, or give the new definition a name of its own",
        )


def scripts(lab: Lab) -> dict[tuple[str, str], Script]:
    """The rendered steps of every machine, read from the lab's folder: what a person sees there is what runs."""
    found = {}
    for node in lab.topology.nodes:
        for file in sorted((lab.state.folder / "nodes" / node.name).glob("*.sh")):
            found[node.name, file.stem] = Script(file.stem, node.name, file.read_text())
    return found
