"""The scheduler of the machine that leads is taken away: the lease must come to another host."""

from __future__ import annotations

from lab.faults.kind import Situation, scripted
from lab.oracle.failover import Promise, Span

MANIFEST = "/etc/kubernetes/manifests/kube-scheduler.yaml"
SET_ASIDE = "/etc/kubernetes/kube-scheduler.yaml.fault"

#: Leader election of Kubernetes' own components (client-go, tools/leaderelection; seconds): a lease is valid for
#: LeaseDuration and renewed every RetryPeriod; a candidate looks every RetryPeriod, stretched by up to JitterFactor.
LEASE, RETRY, JITTER = 15.0, 2.0, 1.2

#: Seconds within which the kubelet notices a manifest's removal and ends the container.
KUBELET = 5.0


def moves(_: Situation) -> Promise:
    """From a leader's manifest that is taken away until another host has the lease.

    The kubelet ends the leader within KUBELET, and until then it goes on renewing. A candidate trusts no clock but its
    own: a renewal counts for LEASE from the moment that it *sees* it, which is one look late at most (RETRY stretched
    by JITTER: 4.4 s), and that it has run out is seen by the first look afterwards: 5 + 4.4 + 15 + 4.4 = 28.8 s.
    At least: the leader ends just before its next renewal, and the last one was seen at once.
    """
    look = RETRY * (1 + JITTER)
    reason = f"a lease runs out {LEASE:.0f} s after a candidate saw it renewed; candidates look every {RETRY:.0f} to "
    reason += f"{look:.1f} s, and the kubelet takes up to {KUBELET:.0f} s to end the leader"
    return Promise(None, Span(LEASE - RETRY, KUBELET + look + LEASE + look), 0.0, 0.0, 0.0, None, None, reason)


KINDS = (
    scripted(
        "scheduler-remove",
        change=f"mv {MANIFEST} {SET_ASIDE}",
        undo=f"if [ -e {SET_ASIDE} ]; then mv {SET_ASIDE} {MANIFEST}; fi",
        promise=moves,
        on_holder=False,
        told=lambda fault: f"removing the scheduler of {fault.targets[0]}, which leads",
    ),
)
