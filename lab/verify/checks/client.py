"""What the client must see while nothing is broken: a steady start, and in the end all well again."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lab.verify import outage
from lab.verify.checks import Check, shown, unknown
from lab.verify.load import Load
from lab.verify.pace import Pace
from lab.verify.recorded import Connection, Recorded
from lab.verify.verdict import Outcome, Verdict

#: Part of the connections started in the steady state below which nothing can be said.
FEW = 0.2

#: Seconds of an outage that are no hiccup: half of what a lab is given to become steady.
LASTING = 30.0


def steady_client(recorded: Recorded) -> Verdict:
    """Before the fault every connection must succeed; otherwise nothing that follows means anything.

    A lab that is seen not to serve at all is broken, and not only unfit for the case: *fail*.
    """
    name, promised = "steady-client", "every connection succeeds"
    start = recorded.steady
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
        return Verdict(name, Outcome.UNKNOWN, measured, promised, too_few(rate, recorded.pace))
    if broken := _broken(recorded, seen, start):
        return Verdict(name, Outcome.FAIL, measured, promised, f"not steady: {broken}")
    if bad:
        return Verdict(name, Outcome.UNKNOWN, measured, promised, f"not steady: {failures(bad, recorded.pace)}")
    if late := too_late(recorded, start, end):
        return Verdict(name, Outcome.UNKNOWN, measured, promised, late)
    return Verdict(name, Outcome.PASS, measured, promised, "the lab was steady before the fault")


def steady_answers(recorded: Recorded) -> Verdict:
    """Before a case that measures no outage all must be answered, however slowly a busy machine does it."""
    name, promised = "steady-answers", "every connection is answered"
    start = recorded.steady
    if start is None:
        return unknown(name, "no steady state was reached", promised)
    end = _end_of_steady(recorded)
    seen = outage.between(recorded.connections, start, end)
    bad = [connection for connection in seen if outage.broken(connection)]
    measured = f"{len(seen) - len(bad)} of {len(seen)} connections answered"
    if len(seen) < FEW * recorded.pace.rate * (end - start):
        return Verdict(name, Outcome.UNKNOWN, measured, promised, "not steady: too few to tell")
    if broken := _broken(recorded, seen, start):
        return Verdict(name, Outcome.FAIL, measured, promised, f"not steady: {broken}")
    if bad:
        return Verdict(name, Outcome.UNKNOWN, measured, promised, f"not steady: {failures(bad, recorded.pace)}")
    return Verdict(name, Outcome.PASS, measured, promised, "the lab was steady before")


def _broken(recorded: Recorded, seen: Sequence[Connection], start: float) -> str:
    """Why these connections of the steady state, which began at ``start``, prove a broken lab; "" when they do not.

    None of them was answered; or an outage of at least LASTING seconds reaches into them. What load explains proves
    nothing.
    """
    before = [c for c in recorded.connections if not seen or c.start <= seen[-1].start]
    reaching = [o for o in outage.outages(before, outage.broken) if o.end > start and o.seconds >= LASTING]
    bad = [c for c in seen if outage.broken(c)]
    lost = bad if len(bad) == len(seen) else reaching[-1].failed if reaching else ()
    if not lost or Load(recorded).explains(lost):
        return ""
    kinds = failures(lost, recorded.pace)
    if len(bad) == len(seen):
        return f"none of {len(seen)} connections was answered: {kinds}"
    return f"for {shown(reaching[-1].seconds)} no second without a failed connection: {kinds}"


def _end_of_steady(recorded: Recorded) -> float:
    """When the fault or the requests began; where nothing was done, when it had been looked at for long enough."""
    begun = recorded.fault.begin if recorded.fault is not None else recorded.phase("requests")
    end = begun if begun is not None else recorded.steady_until("settled", "fault", "end")
    return end if end is not None else max((c.start for c in recorded.connections), default=0.0)


def too_few(rate: float, pace: Pace) -> str:
    """Why a client that was too slow itself cannot tell."""
    return f"the client managed only {rate:.0f} connections in a second ({pace.least:.0f} are needed to tell)"


def too_late(recorded: Recorded, start: float, end: float) -> str:
    """Why a client that was late itself cannot tell which answers were slow; "" when it was in time.

    What its own pauses take is taken off the answers that waited for it. Where they are most of the time between two
    moments, nothing that they leave tells of the lab.
    """
    still = outage.stood_still(recorded.connections, start, end)
    if 2 * still <= end - start:
        return ""
    return f"the client itself was behind its schedule for {shown(still)} of {shown(end - start)}: it could not tell"


def last_told(recorded: Recorded, end: float) -> float:
    """When the client began the last connection that it told of before the case's end."""
    return max((c.start for c in recorded.connections if c.start < end), default=-math.inf)


def fell_silent(recorded: Recorded, end: float) -> str:
    """Why the client cannot tell of the time up to the case's end: it told nothing of the last part; "" when it did.

    Older runs ended the client with the case: what was under way then is not in their record. So as much may be missing
    as a connection that is not slow takes, and the next one's turn.
    """
    quiet = end - last_told(recorded, end)
    if quiet <= recorded.pace.slow + 2 / recorded.pace.rate:
        return ""
    return f"the client told nothing of the last {shown(quiet)}" if math.isfinite(quiet) else "the client told nothing"


def failures(bad: Sequence[Connection], pace: Pace) -> str:
    """Failed connections by their outcome, most frequent first."""
    kinds: dict[str, int] = {}
    for connection in bad:
        kind = connection.outcome if outage.broken(connection) else f"slower than {shown(pace.slow)}"
        kinds[kind] = kinds.get(kind, 0) + 1
    return ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items(), key=lambda item: -item[1]))


def recovered(recorded: Recorded) -> Verdict:
    """After the heal, at the case's end, every connection must get its answer again."""
    name, promised = "recovered", "every connection is answered at the end"
    end, fault = recorded.phase("end"), recorded.fault
    if end is None or fault is None or fault.healed is None:
        return unknown(name, "the fault was not seen healed", promised)
    if silent := fell_silent(recorded, end):
        return unknown(name, silent, promised)
    until = last_told(recorded, end)
    start = until - outage.CLEAN
    if start < fault.healed:
        return unknown(name, f"the record ends within {shown(outage.CLEAN)} of the heal", promised)
    seen = outage.between(recorded.connections, start, until)
    rate = outage.worst_rate(recorded.connections, start, until)
    if rate < recorded.pace.least:
        return unknown(name, too_few(rate, recorded.pace), promised)
    bad = [connection for connection in seen if outage.broken(connection)]
    measured = f"{len(seen) - len(bad)} of the last {len(seen)} answered"
    if bad:
        return Verdict(name, Outcome.FAIL, measured, promised, f"after the heal: {failures(bad, recorded.pace)}")
    return Verdict(name, Outcome.PASS, measured, promised, "all well again")


STEADY_CLIENT = Check("steady-client", steady_client, precondition=True)
STEADY_ANSWERS = Check("steady-answers", steady_answers, precondition=True)
RECOVERED = Check("recovered", recovered)
