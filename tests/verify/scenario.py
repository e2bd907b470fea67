"""Histories from a few words: a scenario says what happened, in seconds from the beginning; here are its records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.verify.recorded import Recorded
from lab.verify.records import FORM, read

FOLDER = Path(__file__).parent / "scenarios"

#: When every scenario begins, in seconds since the epoch.
ZERO = 1_700_000_000.0

BEAT = 0.1


def load_all() -> Iterator[tuple[str, dict[str, Any], dict[str, str]]]:
    """(name, scenario, expected outcome of each check) of every scenario in every file."""
    bases = json.loads((FOLDER / "bases.json").read_text())
    for file in sorted(FOLDER.glob("*.json")):
        if file.stem == "bases":
            continue
        group = json.loads(file.read_text())
        for name, given in group.items():
            scenario = {**bases[given["base"]], **given.get("change", {})}
            yield f"{file.stem}: {name}", scenario, given["expect"]


def base(name: str) -> dict[str, Any]:
    """One of the scenarios that the others are made from."""
    found: dict[str, Any] = json.loads((FOLDER / "bases.json").read_text())[name]
    return found


def lines(scenario: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of a scenario's history: its header, then the others in the order of arrival."""
    made = [*_made(scenario)]
    for record in made:
        record.setdefault("r", record["t"] + 0.002)
        record["t"] += ZERO
        record["r"] += ZERO
        record["case"], record["round"] = scenario["case"], 0
    return sorted(made, key=lambda record: (record["kind"] != "header", float(record["r"])))


def older(line: dict[str, Any]) -> dict[str, Any]:
    """The same line as it was written before the form of histories was counted."""
    changed = {key: value for key, value in line.items() if key not in ("round", "form", "fault")}
    if line["kind"] == "fault":
        changed |= {"name": line["fault"]["kind"], "node": line["fault"]["targets"][0]}
    return changed


def recorded(scenario: dict[str, Any]) -> Recorded:
    """The same, read."""
    return Recorded(read(line) for line in lines(scenario))


def write(scenario: dict[str, Any], folder: Path, *, old: bool = False) -> Path:
    """A run's folder with the history of one scenario, in the ``old`` form where its promise is from before today's."""
    folder.mkdir(parents=True, exist_ok=True)
    old = old or "lost" not in (scenario.get("promise") or {"lost": 0})
    written = [json.dumps(older(line) if old else line) for line in lines(scenario)]
    (folder / "history.jsonl").write_text("\n".join(written) + "\n")
    return folder


def _made(scenario: dict[str, Any]) -> Iterator[dict[str, Any]]:
    ranking = scenario.get("ranking", ["master1", "master2", "master3"])
    header = {"ranking": ranking, "workers": scenario.get("workers", ["worker1"]), "promise": scenario.get("promise")}
    extra = {"preempt": scenario.get("preempt", True), "priorities": dict.fromkeys(ranking, 100), "vip": "10.0.0.9"}
    yield {"t": -5.0, "source": "lab", "kind": "header", "form": FORM, "port": 16443, **header, **extra}
    phases = scenario["phases"]
    for name, at in phases.items():
        yield {"t": at, "source": "lab", "kind": "phase", "name": name}
    for source, (offset, error) in scenario.get("clocks", {}).items():
        yield {"t": -4.0, "source": source, "kind": "clock", "offset": offset, "error": error}
    if fault := scenario.get("fault"):
        yield from _fault(fault)
    until = max(phases.values())
    yield from _connections(scenario, until)
    for node in ranking:
        yield from _looks(scenario, node, until)
    yield from _cluster(scenario)


def _fault(fault: dict[str, Any]) -> Iterator[dict[str, Any]]:
    about = {"kind": "fault", "id": "f", "silences": fault.get("silences", False)}
    about["fault"] = {"kind": fault["name"], "targets": [fault["node"]], "parameters": {}}
    yield {"t": fault.get("begin", fault["moment"] - 0.02), "source": "lab", "event": "begin", **about}
    machine = "lab" if about["silences"] else fault["node"]
    yield {"t": fault["moment"], "source": machine, "event": "begun", **about}
    for event in ("heal", "healed"):
        if event in fault:
            yield {"t": fault[event], "source": "lab", "event": event, **about}


def _connections(scenario: dict[str, Any], until: float) -> Iterator[dict[str, Any]]:
    rate = scenario.get("rate", 50)
    for number in range(int(scenario.get("since", -1) * rate), int(until * rate)):
        at = number / rate
        if any(start <= at < end for start, end in scenario.get("missing", [])):
            continue
        outcome, latency = "ok", 0.008
        if (every := scenario.get("every")) and number % int(every[0] * rate) == 0:
            outcome, latency = every[1:]
        for start, end, what, took in scenario.get("failing", []):
            if start <= at < end:
                outcome, latency = what, took
        start = next((end for begin, end in scenario.get("stalls", []) if begin <= at < end), at)
        late = start - at + scenario.get("behind", 0.0)
        times = {"t": start, "latency": latency, "late": late, "r": start + latency}
        yield {"source": "worker1", "kind": "probe", "outcome": outcome, **times}


def _looks(scenario: dict[str, Any], node: str, until: float) -> Iterator[dict[str, Any]]:
    offset = scenario.get("clocks", {}).get(node, (0.0, 0.0))[0]
    changes = scenario["holders"].get(node, [])
    unseen = scenario.get("unseen", {}).get(node, [])
    starved = scenario.get("starved", {}).get(node, [])
    since = scenario.get("since", -1)
    beats = [round(since + number * BEAT + 0.037, 3) for number in range(int((until + 0.5 - since) / BEAT))]
    moments = sorted([*((at, "change") for at, _ in changes), *((at, "beat") for at in beats)])
    caught_up: set[float] = set()
    for at, why in moments:
        if any(start < at < end for start, end in unseen):
            continue
        # Who waits for a processor finds afterwards what happened, and then looks once for all looks that were due.
        told = next((end for start, end in starved if start < at < end), at)
        if why == "beat" and told != at:
            told += 0.001
            if told in caught_up:
                continue
            caught_up.add(told)
        moment = told if why == "beat" else at
        holds = next((holding for since, holding in reversed(changes) if since <= moment), False)
        late = told - at if why == "beat" else 0.0
        record = {"source": node, "kind": "holder", "holds": holds, "why": why, "late": late}
        yield {"t": told + offset, "r": told + 0.002, **record}


def _cluster(scenario: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "asked" in scenario:
        yield {"t": scenario["asked"], "source": "lab", "kind": "pod-asked", "pod": "p"}
    for event, at, *node in scenario.get("pods", []):
        yield {"t": at, "source": "master3", "kind": "pod", "pod": "p", "event": event, "node": (node or [""])[0]}
    for at, holder, *found in scenario.get("leases", []):
        told = {"kind": "lease", "lease": "kube-scheduler", "holder": holder}
        found = {"found": (found or [False])[0]} if "looks" in scenario else {}
        yield {"t": at, "source": "master1", **told, **found}
    for at, holder in scenario.get("looks", []):
        told = {"kind": "lease-seen", "lease": "kube-scheduler", "holder": holder, "found": True}
        yield {"t": at, "source": "master1", **told}
    for at, what in scenario.get("trouble", []):
        yield {"t": at, "source": "master1", "kind": "trouble", "what": what}
    if "burst" in scenario:
        yield {"t": 2.0, "source": "lab", "kind": "burst", "count": scenario["burst"]}
    for number in range(scenario.get("requests", 0)):
        status = {"status": 201 if number >= scenario.get("refused", 0) else 500, "pod": f"p{number}"}
        yield {"t": 2.0 + number / 100, "source": "master3", "kind": "request", **status}
    for node, count in scenario.get("audit", {}).items():
        yield {"t": 4.0, "source": node, "kind": "audit", "count": count}
    for when, node, sessions in scenario.get("sessions", []):
        at = 2.0 if when == "before" else 3.0
        yield {"t": at, "source": node, "kind": "sessions", "when": when, "sessions": sessions}
    for text in scenario.get("broken_off", []):
        yield {"t": 3.0, "source": "lab", "kind": "broken-off", "text": text}
