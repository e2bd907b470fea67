"""Whether processors were missing, by the programs that come before all others: who was late, and when. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab.verify.recorded import Connection, Recorded

#: Seconds for which a probe waited for a processor, from which on everybody else may have waited for much longer: the
#: probes come before all other programs of their machine, and on an idle one they are late by less than a thousandth.
STARVED = 0.05


@dataclass(frozen=True)
class Wait:
    """A probe on ``source`` waited for a processor, from ``start`` to ``end`` (host's time)."""

    source: str
    start: float
    end: float


def waits(recorded: Recorded) -> list[Wait]:
    """Where a probe was late by STARVED seconds or more."""
    found = []
    for kind in ("holder", "probe"):
        for record in recorded.of(kind):
            if (late := float(record["late"])) >= STARVED:
                at = recorded.host_time(record)
                found.append(Wait(str(record["source"]), at - late, at))
    for record in recorded.of("probe-skipped"):
        at = recorded.host_time(record)
        found.append(Wait(str(record["source"]), at - int(record["count"]) / recorded.pace.rate, at))
    return found


def explained(recorded: Recorded, failed: Sequence[Connection], known: Sequence[Wait]) -> Wait | None:
    """The wait that explains these failed connections better than the lab does; None when load does not explain them.

    Load delays, it refuses nobody: only connections that met with silence, or with an answer that came late, can be
    its doing, and each of them must have been under way while somebody waited.
    """
    met = [_met(recorded, connection, known) for connection in failed]
    first = met[0] if met else None
    return first if all(one is not None for one in met) else None


def _met(recorded: Recorded, connection: Connection, known: Sequence[Wait]) -> Wait | None:
    """The first wait that a connection met with while it was under way."""
    silent = connection.outcome.startswith("timeout")
    if not silent and connection.outcome != "ok":
        return None
    # A connection without an answer was given all its time, also that in which its own client stood still.
    end = connection.start + (recorded.pace.patience if silent else connection.latency)
    return next((wait for wait in known if wait.start < end and wait.end > connection.start), None)
