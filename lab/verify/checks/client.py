"""What the client must see: a steady start, and an outage no longer than promised."""

from __future__ import annotations

from lab.verify import outage
from lab.verify.checks import Check, shown, unknown
from lab.verify.recorded import Connection, Recorded
from lab.verify.verdict import Outcome, Verdict

#: Seconds that a connection is given (provision/probe/connections.py): none that began earlier can be under way.
UNDER_WAY = 1.0

#: Seconds of clean connections that must be seen after an outage before it counts as over.
CLEAN = 1.0


def steady_client(recorded: Recorded) -> Verdict:
    """Before the fault every connection must succeed; otherwise nothing that follows means anything."""
    name, promised = "steady-client", "every connection succeeds"
    start = recorded.phase("steady")
    if start is None:
        return unknown(name, "no steady state was reached", promised)
    end = _end_of_steady(recorded)
    # Those that the fault found under way are the outage's.
    seen = [c for c in outage.between(recorded.connections, start, end) if c.start + c.latency < end]
    bad = [connection for connection in seen if outage.failed(connection)]
    rate = outage.worst_rate(recorded.connections, start, end)
    measured = f"{len(seen) - len(bad)} of {len(seen)} connections succeeded"
    if rate < outage.MIN_RATE:
        return Verdict(name, Outcome.UNKNOWN, measured, promised, _too_slow(rate))
    if bad:
        return Verdict(name, Outcome.UNKNOWN, measured, promised, f"not steady before the fault: {_failures(bad)}")
    return Verdict(name, Outcome.PASS, measured, promised, "the lab was steady before the fault")


def _end_of_steady(recorded: Recorded) -> float:
    """The fault's beginning, or the next phase's where the case makes no fault."""
    if recorded.faults:
        return recorded.faults[0].begin
    after = [moment for moment in (recorded.phase("fault"), recorded.phase("end")) if moment is not None]
    return min(after, default=max((c.start for c in recorded.connections), default=0.0))


def _too_slow(rate: float) -> str:
    return (
        f"the client managed only {rate:.0f} connections a second at worst ({outage.MIN_RATE:.0f} are needed to tell)"
    )


def _failures(bad: list[Connection]) -> str:
    """Failed connections by their outcome, most frequent first."""
    kinds: dict[str, int] = {}
    for connection in bad:
        kind = connection.outcome if connection.outcome != "ok" else f"slower than {shown(outage.SLOW)}"
        kinds[kind] = kinds.get(kind, 0) + 1
    return ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items(), key=lambda item: -item[1]))


def client_outage(recorded: Recorded) -> Verdict:
    """The outage between the fault and its heal must be no longer than the timers promise."""
    name = "outage"
    promise = recorded.promised
    promised = f"≤ {shown(promise.maximum)}" if promise else ""
    if promise is None or not recorded.faults:
        return unknown(name, "no fault was recorded", promised)
    fault = recorded.faults[0]
    end = fault.heal if fault.heal is not None else recorded.phase("end")
    if end is None:
        return unknown(name, "the record ends before the fault was healed", promised)
    # A connection under way when the fault came began before it, and is one that the fault broke.
    seen = [
        connection
        for connection in outage.between(recorded.connections, fault.begin - UNDER_WAY, end)
        if connection.start + connection.latency >= fault.begin
    ]
    rate = outage.worst_rate(recorded.connections, fault.begin - UNDER_WAY, end)
    if rate < outage.MIN_RATE:
        return unknown(name, _too_slow(rate), promised)
    found = outage.find(seen)
    if found is None:
        return _nothing_failed(name, promised, len(seen))
    bad = [connection for connection in seen if outage.failed(connection)]
    because = f"{found.failures} of {len(seen)} connections failed: {_failures(bad)}"
    if found.seconds is None or found.end is None or end - found.end < CLEAN:
        least = (found.end or end) - found.start
        outcome = Outcome.FAIL if least > promise.maximum else Outcome.UNKNOWN
        return Verdict(name, outcome, f"> {shown(least)}", promised, f"not over when the fault was healed; {because}")
    values = {"outage_s": found.seconds, "failed": float(found.failures), "slow": float(found.slow)}
    outcome = Outcome.PASS if found.seconds <= promise.maximum else Outcome.FAIL
    return Verdict(name, outcome, shown(found.seconds), promised, f"{because}; {promise.reason}", values)


def _nothing_failed(name: str, promised: str, count: int) -> Verdict:
    reason = f"none of {count} connections failed or was slow"
    return Verdict(name, Outcome.PASS, "no outage", promised, reason, {"outage_s": 0.0, "failed": 0.0, "slow": 0.0})


STEADY_CLIENT = Check("steady-client", steady_client, precondition=True)
OUTAGE = Check("outage", client_outage)
