"""``./inv bench up`` and ``./inv bench failover``."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from lab import console
from lab.bench.bringup import UpBench
from lab.bench.failover import FailoverBench, Row
from lab.bench.figures import Spread, as_data, collect
from lab.bench.plot import plot
from lab.cli import options
from lab.context import find
from lab.definition import load, parse, written
from lab.errors import UsageError
from lab.faults.ledger import heal_open
from lab.identity import Identity
from lab.operations.changing import alone_with, changing
from lab.operations.removal import remove
from lab.project import FOLDER, definition_file
from lab.requirements.examination import refuse
from lab.requirements.scope import of_new_lab
from lab.stage import Stage
from lab.state import State
from lab.timeline import Timeline

#: The definitions whose load balancers are compared.
COMPARED = ("ha.yaml", "article.yaml", "kubeadm-doc.yaml")

#: More are a slip of the hand: so many rounds of the quickest bench take half a day.
MOST_ROUNDS = 1000


def run(what: str, rounds: int, name: str, definition: str, provider: str, settings: Sequence[str]) -> None:
    """Measure, print a table, keep JSON and a plot. ``settings`` are definitions to compare (default: COMPARED)."""
    if not 1 <= rounds <= MOST_ROUNDS:
        raise UsageError(f"--rounds {rounds}: out of range", f"from 1 to {MOST_ROUNDS} rounds")
    options.check_provider(provider)
    if what == "up":
        if settings:
            raise UsageError("--settings: bench up compares none", "--definition FILE is what comes up")
        _up(rounds, name, definition, provider)
    elif what == "failover":
        if provider:
            raise UsageError("--provider: bench failover takes a lab that runs", "--lab NAME says which")
        _failover(rounds, name, definition, settings)
    else:
        raise UsageError(f"bench {what}: no such bench", "./inv bench up, or ./inv bench failover")


def _up(rounds: int, name: str, definition: str, provider: str) -> None:
    source = definition_file(definition)
    text = written(source)
    wanted = parse(text, str(source))
    state = State(Identity(name or f"{wanted.name}-bench", FOLDER))
    if state.load_site() is None:  # else it is refused for that
        refuse(of_new_lab(wanted, state.identity, provider or wanted.provider, Stage.WORKERS))
    done: list[dict[str, float]] = []
    try:
        with changing(state, console.warn), console.Progress(f"bench up: {rounds} rounds") as progress:
            bench = UpBench(
                wanted,
                text,
                state,
                provider or wanted.provider,
                progress,
                lambda state: remove(state, lambda line: progress.line("", line)),
            )
            for figures in bench.run(rounds):
                done.append(figures)  # noqa: PERF402 — an interrupt must leave the finished ones
    finally:
        # Rounds take long: what an interrupt or a failure leaves finished is kept and shown.
        if done:
            _tell_up(state, done)


def _tell_up(state: State, done: Sequence[Mapping[str, float]]) -> None:
    spreads = collect(done)
    folder, title = _folder(state, "bench-up"), f"up, {len(done)} rounds"
    _keep(folder, title, {"figures": as_data(spreads)}, spreads)
    console.table(
        title,
        ["phase", "median", "min", "max", "rounds"],
        [[key, *spread.shown()] for key, spread in spreads.items()],
    )
    console.say(f"kept in {folder}")


def _failover(rounds: int, name: str, definition: str, settings: Sequence[str]) -> None:
    sources = [definition_file(file) for file in settings] or [FOLDER / "configs" / file for file in COMPARED]
    compared = [load(source) for source in sources]
    rows: list[Row] = []
    state = find(name, definition)
    try:
        with (
            alone_with(name, definition, console.warn) as lab,
            console.Progress(f"bench failover: {rounds} rounds of each") as progress,
        ):
            timeline = Timeline(progress)
            heal_open(lab, timeline.line)
            with closing(FailoverBench(lab, compared, timeline, timeline.line).run(rounds)) as measured:
                for row in measured:
                    rows.append(row)  # noqa: PERF402 — an interrupt must leave the finished ones
    finally:
        if rows:
            _tell_failover(state, rows, rounds)


def _tell_failover(state: State, rows: Sequence[Row], rounds: int) -> None:
    spreads = {f"{row.settings} {row.fault}": row.spread for row in rows if row.spread is not None}
    folder = _folder(state, "bench-failover")
    told = [
        {"settings": row.settings, "fault": row.fault, "promised": row.promised, "verdicts": row.verdicts}
        for row in rows
    ]
    _keep(folder, f"client outage, {rounds} rounds", {"rows": told, "figures": as_data(spreads)}, spreads)
    console.table(
        f"Client outage when haproxy goes away on the holder, {rounds} rounds",
        ["settings", "fault", "promised", "median", "min", "max", "rounds", "verdicts"],
        [[row.settings, row.fault, row.promised, *_shown(row), _tally(row)] for row in rows],
    )
    console.say(f"kept in {folder}")


def _shown(row: Row) -> list[str]:
    return row.spread.shown() if row.spread is not None else ["–", "–", "–", "0"]


def _tally(row: Row) -> str:
    return ", ".join(f"{row.verdicts.count(word)} {word}" for word in dict.fromkeys(row.verdicts))


def _folder(state: State, kind: str) -> Path:
    folder = state.runs / f"{time.strftime('%Y%m%d-%H%M%S')}-{kind}"
    folder.mkdir(parents=True)
    return folder


def _keep(folder: Path, title: str, data: Mapping[str, object], spreads: Mapping[str, Spread]) -> None:
    host = {"processors": os.cpu_count(), "load": os.getloadavg()[0]}
    (folder / "bench.json").write_text(json.dumps({"title": title, "host": host, **data}, indent=1) + "\n")
    (folder / "bench.svg").write_text(plot(title, spreads))
