"""What the client must see: a steady start, an outage no longer than promised, and in the end all well again."""

from __future__ import annotations

from collections.abc import Sequence

from lab.verify import outage
from lab.verify.checks import Check, shown, unknown
from lab.verify.outage import Outage
from lab.verify.pace import Pace
from lab.verify.recorded import Applied, Connection, Recorded
from lab.verify.verdict import Outcome, Verdict

#: Part of the connections started in the steady state below which nothing can be said.
FEW = 0.2

#: Seconds of clean connections that must be seen after an outage before it counts as over.
CLEAN = 1.0


def steady_client(recorded: Recorded) -> Verdict:
    """Before the fault every connection must succeed; otherwise nothing that follows means anything."""
    name, promised = "steady-client", "every connection succeeds"
    start = recorded.phase("steady")
    if start is None:
        return unknown(name, "no steady state was reached", promised)
    end = _end_of_steady(recorded)
    connections = outage.excused(recorded.connections)
    # Those that the fault found under way are the outage's.
    seen = [c for c in outage.between(connections, start, end) if c.start + c.latency < end]
    bad = [connection for connection in seen if outage.failed(connection, recorded.pace.slow)]
    rate = outage.worst_rate(connections, start, end)
    measured = f"{len(seen) - len(bad)} of {len(seen)} connections succeeded"
    if rate < recorded.pace.least:
        return Verdict(name, Outcome.UNKNOWN, measured, promised, _too_few(rate, recorded.pace))
    if bad:
        return Verdict(
            name, Outcome.UNKNOWN, measured, promised, f"not steady before the fault: {_failures(bad, recorded.pace)}"
        )
    return Verdict(name, Outcome.PASS, measured, promised, "the lab was steady before the fault")


def steady_answers(recorded: Recorded) -> Verdict:
    """Before a case that measures no outage all must be answered, however slowly a busy machine does it."""
    name, promised = "steady-answers", "every connection is answered"
    start = recorded.phase("steady")
    if start is None:
        return unknown(name, "no steady state was reached", promised)
    end = _end_of_steady(recorded)
    seen = outage.between(recorded.connections, start, end)
    bad = [connection for connection in seen if outage.broken(connection)]
    measured = f"{len(seen) - len(bad)} of {len(seen)} connections answered"
    if bad or len(seen) < FEW * recorded.pace.rate * (end - start):
        reason = _failures(bad, recorded.pace) if bad else "too few to tell"
        return Verdict(name, Outcome.UNKNOWN, measured, promised, f"not steady before the case: {reason}")
    return Verdict(name, Outcome.PASS, measured, promised, "the lab was steady before")


def _end_of_steady(recorded: Recorded) -> float:
    """When it had been looked at for long enough; else the beginning of whatever phase came next."""
    after = [recorded.phase(name) for name in ("settled", "fault", "requests", "end")]
    return min((m for m in after if m is not None), default=max((c.start for c in recorded.connections), default=0.0))


def _too_few(rate: float, pace: Pace) -> str:
    return f"the client managed only {rate:.0f} connections in a second ({pace.least:.0f} are needed to tell)"


def _failures(bad: Sequence[Connection], pace: Pace) -> str:
    """Failed connections by their outcome, most frequent first."""
    kinds: dict[str, int] = {}
    for connection in bad:
        kind = connection.outcome if outage.broken(connection) else f"slower than {shown(pace.slow)}"
        kinds[kind] = kinds.get(kind, 0) + 1
    return ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items(), key=lambda item: -item[1]))


def suffered(
    recorded: Recorded, fault: Applied, end: float
) -> tuple[list[Connection], Outage | None, list[Connection]]:
    """The connections that a fault could have broken until ``end``, the outage among them, and those that failed.

    A connection under way when the fault came began before it, and is one of them. Slow ones count as failed until the
    case puts a load of its own on the machines (the pod's start or the heal, which two busy cores feel); what breaks
    counts always.
    """
    loads = [recorded.host_time(record) for record in recorded.of("pod-asked")]
    loaded = min(loads, default=end)

    def bad(connection: Connection) -> bool:
        answered = connection.start + connection.latency
        return outage.failed(connection, recorded.pace.slow) if answered < loaded else outage.broken(connection)

    connections = outage.between(outage.excused(recorded.connections), fault.begin - recorded.pace.patience, end)
    touched = [c for c in connections if c.start + c.latency >= fault.moment]
    return touched, outage.find(touched, bad), [connection for connection in touched if bad(connection)]


def client_outage(recorded: Recorded) -> Verdict:
    """The outage between the fault and its heal must be no longer than the timers promise."""
    name, promise = "outage", recorded.promised
    if promise is None or not recorded.faults:
        return unknown(name, "no fault was recorded")
    promised = "until it is healed" if promise.maximum is None else f"≤ {shown(promise.maximum)}"
    fault = recorded.faults[0]
    end = fault.heal if fault.heal is not None else recorded.phase("end")
    if end is None:
        return unknown(name, "the record ends before the fault was healed", promised)
    rate = outage.worst_rate(recorded.connections, fault.begin - recorded.pace.patience, end)
    if rate < recorded.pace.least:
        return unknown(name, _too_few(rate, recorded.pace), promised)
    seen, found, bad = suffered(recorded, fault, end)
    limit = promise.maximum
    if limit is not None:
        pause = outage.longest_pause(recorded.connections, fault.moment, fault.moment + limit)
        if pause > limit and (found is None or (found.seconds or 0.0) <= limit):
            return unknown(name, f"the client stood still for {shown(pause)} just then: it could not tell", promised)
    if found is None:
        reason = f"none of {len(seen)} connections failed"
        return Verdict(name, Outcome.PASS, "no outage", promised, reason, {"outage_s": 0.0, "failed": 0.0, "slow": 0.0})
    because = f"{found.failures} of {len(seen)} connections failed: {_failures(bad, recorded.pace)}"
    values = {"failed": float(found.failures), "slow": float(found.slow)}
    if found.end is None or end - found.end < CLEAN:
        least = (found.end or end) - found.start
        late = limit is not None and least > limit
        outcome = Outcome.PASS if limit is None else Outcome.FAIL if late else Outcome.UNKNOWN
        reason = f"not over when the fault was healed; {because}"
        return Verdict(name, outcome, f"> {shown(least)}", promised, reason, values)
    length = found.end - found.start
    outcome = Outcome.PASS if limit is None or length <= limit else Outcome.FAIL
    reason = f"{because}; {promise.reason}"
    return Verdict(name, outcome, shown(length), promised, reason, {"outage_s": length, **values})


def recovered(recorded: Recorded) -> Verdict:
    """After the heal, at the case's end, every connection must get its answer again."""
    name, promised = "recovered", "every connection is answered at the end"
    end = recorded.phase("end")
    if end is None or not recorded.faults or recorded.faults[0].healed is None:
        return unknown(name, "the fault was not seen healed", promised)
    # The last ones may still have been under way when the probe was ended: they are not in the record.
    until = min(end, max((c.start for c in recorded.connections), default=end))
    start = until - CLEAN
    if start < recorded.faults[0].healed:
        return unknown(name, f"the record ends within {shown(CLEAN)} of the heal", promised)
    seen = outage.between(recorded.connections, start, until)
    rate = outage.worst_rate(recorded.connections, start, until)
    if rate < recorded.pace.least:
        return unknown(name, _too_few(rate, recorded.pace), promised)
    bad = [connection for connection in seen if outage.broken(connection)]
    measured = f"{len(seen) - len(bad)} of the last {len(seen)} answered"
    if bad:
        return Verdict(name, Outcome.FAIL, measured, promised, f"after the heal: {_failures(bad, recorded.pace)}")
    return Verdict(name, Outcome.PASS, measured, promised, "all well again")


STEADY_CLIENT = Check("steady-client", steady_client, precondition=True)
STEADY_ANSWERS = Check("steady-answers", steady_answers, precondition=True)
OUTAGE = Check("outage", client_outage)
RECOVERED = Check("recovered", recovered)
