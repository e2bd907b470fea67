"""What must be seen of the cluster itself: pods that run, requests that spread."""

from __future__ import annotations

from lab.verify.checks import Check, shown, unknown
from lab.verify.recorded import Recorded
from lab.verify.records import Audit, Burst, Pod, PodAsked, Request, Sessions, Trouble
from lab.verify.verdict import Outcome, Verdict

#: Seconds from its creation within which a pod of a cached image must run on an idle worker; sandbox and start take
#: 2 to 5 s on two busy cores.
POD_RUNS = 60.0

#: The API's status for something that was made.
CREATED = 201

#: Least share of each of three apiservers: three fifths of an even share.
FAIR = 0.6


def pod_ran(recorded: Recorded) -> Verdict:
    """A pod created through the VIP while the fault lasted must run on a worker."""
    name, promised = "pod", f"runs on a worker within {POD_RUNS:.0f} s"
    if (fault := recorded.fault) is None:
        return unknown(name, "no fault was recorded", promised)
    events = {pod.event: pod for pod in recorded.of(Pod)}
    created, running = events.get("created"), events.get("running")
    end = fault.heal if fault.heal is not None else recorded.phase("end")
    if created is None:
        return _never_created(recorded, end, name, promised)
    since = recorded.host_time(created)
    if since < fault.moment or (end is not None and since > end):
        return unknown(name, "the pod was not created while the fault lasted", promised)
    if running is None:
        seen = f"{shown(end - since)}" if end is not None else "not known how long"
        scheduled = events.get("scheduled")
        state = f"scheduled to {scheduled.node}, not running" if scheduled else "not scheduled"
        outcome = Outcome.FAIL if end is not None and end - since >= POD_RUNS else Outcome.UNKNOWN
        return Verdict(name, outcome, state, promised, f"watched for {seen}: {_trouble(recorded)}")
    took = recorded.host_time(running) - since
    node = running.node
    measured = f"ran on {node} after {shown(took)}"
    values = {"pod_s": took}
    workers = recorded.header.workers or recorded.ranking
    if node not in workers or took > POD_RUNS:
        return Verdict(name, Outcome.FAIL, measured, promised, "not what was promised", values)
    return Verdict(name, Outcome.PASS, measured, promised, "created through the VIP while the fault lasted", values)


def _never_created(recorded: Recorded, end: float | None, name: str, promised: str) -> Verdict:
    """A pod that could not be created in time is a failure; one that was never asked for tells nothing."""
    asked = recorded.of(PodAsked)
    if asked and end is not None and end - recorded.host_time(asked[0]) >= POD_RUNS:
        return Verdict(name, Outcome.FAIL, "not created", promised, f"no answer through the VIP: {_trouble(recorded)}")
    return unknown(name, "no pod was created", promised)


def _trouble(recorded: Recorded) -> str:
    told = recorded.of(Trouble)
    return told[-1].what if told else "no error was told"


def least_share(servers: int) -> float:
    """The least share of requests that each of ``servers`` apiservers must get."""
    return FAIR / servers


def spread_by_audit(recorded: Recorded) -> Verdict:
    """Every apiserver's own audit log must show its share of the pods that were created."""
    name = "audit-share"
    masters = recorded.ranking
    wanted = [request for request in recorded.of(Request) if request.status == CREATED]
    counts = {node: audit.count for node, audit in recorded.records.latest(Audit).items()}
    least = least_share(len(masters)) if masters else 0.0
    promised = f"each ≥ {least:.0%}"
    asked = recorded.of(Burst)
    if not asked or not recorded.of(Request):
        return unknown(name, "no pod was asked for", promised)
    if refused := _refused(recorded):
        measured = f"{len(wanted)} of {asked[0].count} created"
        return Verdict(name, Outcome.FAIL, measured, promised, f"in a steady lab a request failed: {refused}")
    if len(wanted) < asked[0].count:
        return unknown(name, f"only {len(wanted)} of {asked[0].count} pods were asked for", promised)
    if missing := [node for node in masters if node not in counts]:
        return unknown(name, f"no audit log was read on {', '.join(missing)}", promised)
    total = sum(counts.values())
    shares = {node: counts[node] / len(wanted) for node in masters}
    measured = ", ".join(f"{node} {shares[node]:.0%}" for node in masters)
    values = {f"share_{node}": shares[node] for node in masters}
    if total < len(wanted):
        reason = f"the audit logs show {total} of {len(wanted)} creations: where the others went is not known"
        return Verdict(name, Outcome.UNKNOWN, measured, promised, reason, values)
    least_node = min(masters, key=lambda node: shares[node])
    outcome = Outcome.PASS if shares[least_node] >= least else Outcome.FAIL
    reason = f"{len(wanted)} pods over fresh connections; {least_node} got the fewest: {counts[least_node]}"
    return Verdict(name, outcome, measured, promised, reason, values)


def _refused(recorded: Recorded) -> str:
    """What the first request that created nothing was told, "" when all created their pod."""
    failed = [request for request in recorded.of(Request) if request.status != CREATED]
    return f"{failed[0].pod}: {failed[0].error or failed[0].status}" if failed else ""


def spread_by_sessions(recorded: Recorded) -> Verdict:
    """Each server's sessions in the holder's haproxy must have grown by at least what its apiserver wrote down."""
    name, promised = "sessions", "each grew by at least its audited requests"
    counts = {node: audit.count for node, audit in recorded.records.latest(Audit).items()}
    looks = {look.when: look for look in reversed(recorded.of(Sessions))}
    before, after = looks.get("before"), looks.get("after")
    if before is None or after is None or not counts:
        return unknown(name, "haproxy was not asked before and after, or no audit log was read", promised)
    if before.source != after.source:
        return unknown(name, f"the VIP moved from {before.source} to {after.source} meanwhile", promised)
    if missing := [node for node in counts if node not in before.sessions or node not in after.sessions]:
        return Verdict(name, Outcome.FAIL, "no such server", promised, f"haproxy knows no server {', '.join(missing)}")
    grown = {node: after.sessions[node] - before.sessions[node] for node in counts}
    if any(growth < 0 for growth in grown.values()):
        return unknown(name, "haproxy was restarted meanwhile: its counts began anew", promised)
    measured = ", ".join(f"{node} +{grown[node]}" for node in sorted(grown))
    short = [node for node in sorted(counts) if grown[node] < counts[node]]
    said = ", ".join(f"{node} +{grown[node]} < {counts[node]}" for node in short)
    reason = said or f"by the haproxy of {after.source}, which held the VIP; audited: {sum(counts.values())}"
    return Verdict(name, Outcome.FAIL if short else Outcome.PASS, measured, promised, reason)


POD_RAN = Check("pod", pod_ran)
AUDIT_SHARE = Check("audit-share", spread_by_audit)
SESSIONS = Check("sessions", spread_by_sessions)
