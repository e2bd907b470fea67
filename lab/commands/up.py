"""``./inv up``."""

from __future__ import annotations

import time
from collections.abc import Sequence

from lab import console
from lab.bringup import Bringup
from lab.commands.changing import changing
from lab.commands.show import machines_table, phases_table
from lab.commands.verify import view
from lab.context import FOLDER, Lab, source_of
from lab.definition import Definition, parse, written
from lab.errors import UsageError
from lab.identity import Identity
from lab.plan.show import follows, risks
from lab.requirements.examination import refuse
from lab.requirements.scope import Scope, of_lab, of_new_lab
from lab.stage import Stage
from lab.state import State
from lab.timeline import Timeline
from lab.verify.ledger import Ledger, heal_open
from lab.verify.watch import watching

PROVIDERS = ("auto", "libvirt", "lxc")


def run(
    definition: str, lab: str, provider: str, until: str, *, refresh: bool, verbose: bool, start_again: bool = False
) -> None:
    """Bring a lab up and say where the time went."""
    source = source_of(definition)
    stage = _stage(until)
    text = written(source)
    wanted = parse(text, str(source))
    check_provider(provider)
    state = State(Identity(lab or wanted.name, FOLDER))
    scope = scope_of(wanted, state, provider or wanted.provider, stage, refresh=refresh)
    if timers := follows(scope.topology):
        console.say(f"unset timers {timers}")
    for risk in risks(scope.topology, scope.site.provider):
        console.warn(risk)
    refuse(scope)
    started = time.strftime("%Y%m%d-%H%M%S")
    with changing(state), console.Progress(f"lab {state.identity.name}: up", verbose=verbose) as progress:
        timeline = Timeline(progress)
        work = Bringup(
            wanted,
            text,
            state,
            provider or wanted.provider,
            stage,
            timeline,
            refresh,
            heal,
            forget,
            start_again,
            watch=lambda lab, planned: watching(view(lab), planned, timeline.line),
        )
        try:
            made, status, done = work.run()
        finally:
            if timeline.phases:
                timeline.store(state.runs / f"{started}-up" / "phases.json")
    if done:
        console.table("Where the time went", *phases_table(timeline))
    console.say("")
    console.table(f"Lab {state.identity.name} ({made.provider.name})", *machines_table(status))
    console.say("")
    nothing = "" if done else "; nothing had to change"
    answers = f"{status.endpoint} answers, held by {', '.join(status.holders)}" if status.holders else "machines run"
    console.say(f"{answers}; {timeline.elapsed:.1f} s{nothing}", "green bold")


def scope_of(wanted: Definition, state: State, provider: str, stage: Stage, *, refresh: bool = False) -> Scope:
    """What is still to be made, of a new lab or of one that is there."""
    site = state.load_site()
    if site is None:
        return of_new_lab(wanted, state.identity, provider, stage, refresh=refresh)
    return of_lab(wanted, state, site, stage, refresh=refresh)


def heal(lab: Lab, settled: bool) -> None:
    """End the faults that an interrupted verification left open; those inside the cluster once it is ``settled``."""
    heal_open(view(lab), console.say, cluster=settled)


def forget(lab: Lab, nodes: Sequence[str]) -> None:
    """Faults that an interrupted verification left open on machines that are no more went with them."""
    for entry in Ledger.of(view(lab)).forget(nodes):
        console.say(f"{entry}, left open by an earlier command, went with its machine")


def check_provider(provider: str) -> None:
    """Refuse a --provider that does not exist."""
    if provider and provider not in PROVIDERS:
        raise UsageError(f"--provider {provider}: no such provider", f"one of {', '.join(PROVIDERS)}")


def _stage(until: str) -> Stage:
    try:
        return Stage(until)
    except ValueError:
        raise UsageError(f"--until {until}: no such stage", f"one of {', '.join(Stage)}") from None
