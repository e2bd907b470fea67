"""``./inv up``."""

from __future__ import annotations

import time

from lab import console
from lab.bringup import Bringup
from lab.cli import options
from lab.cli.tables import machines_table, phases_table
from lab.definition import parse, written
from lab.identity import Identity
from lab.operations.changing import changing
from lab.operations.verification import view
from lab.plan.show import follows, risks
from lab.project import FOLDER, definition_file
from lab.requirements.examination import refuse
from lab.requirements.scope import scope_of
from lab.state import State
from lab.timeline import Timeline
from lab.verify.watch import watching


def run(
    definition: str, lab: str, provider: str, until: str, *, refresh: bool, verbose: bool, start_again: bool = False
) -> None:
    """Bring a lab up and say where the time went."""
    source = definition_file(definition)
    stage = options.stage(until)
    text = written(source)
    wanted = parse(text, str(source))
    options.check_provider(provider)
    state = State(Identity(lab or wanted.name, FOLDER))
    scope = scope_of(wanted, state, provider or wanted.provider, stage, refresh=refresh)
    if timers := follows(scope.topology):
        console.say(f"unset timers {timers}")
    for risk in risks(scope.topology, scope.site.provider):
        console.warn(risk)
    refuse(scope)
    started = time.strftime("%Y%m%d-%H%M%S")
    with changing(state, console.warn), console.Progress(f"lab {state.identity.name}: up", verbose=verbose) as progress:
        timeline = Timeline(progress)
        work = Bringup(
            wanted,
            text,
            state,
            provider or wanted.provider,
            stage,
            timeline,
            refresh,
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
