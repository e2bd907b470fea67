"""haproxy goes away, or hangs.

*stop*, *kill* and *crash* are three different faults: stopped in good order; SIGKILL with its restart switched off;
SIGKILL as shipped, after which systemd starts it again.
"""

from __future__ import annotations

from dataclasses import replace

from lab.faults.kind import Situation, scripted
from lab.oracle import failover
from lab.oracle.failover import GRAIN, Promise, Span, Watch, shown
from lab.topology import Topology

#: Where a restart by systemd is switched off.
NO_RESTART = "/run/systemd/system/haproxy.service.d/fault-no-restart.conf"

#: Seconds from a crashed haproxy to one that serves again: Debian's unit restarts it after 0.1, the rest is systemd's
#: and haproxy's own. Measured: 0.16 on idle processors, 0.37 to 0.67 in ten crashes with a whole lab on two.
RESTART = Span(0.1, 0.8)

_START = "systemctl reset-failed haproxy.service\nsystemctl start haproxy.service"


def gone(situation: Situation) -> Promise:
    """haproxy does not run, and nobody starts it again."""
    return _noticed(situation.topology, hangs=False)


def hangs(situation: Situation) -> Promise:
    """haproxy accepts connections and says nothing."""
    return _noticed(situation.topology, hangs=True)


def _noticed(topology: Topology, hangs: bool) -> Promise:
    """haproxy is gone or hangs, and stays so: the quickest of what notices it decides."""
    if len(topology.ranked) < 2:
        return failover.alone()
    ways = []
    for watch in failover.watches(topology.definition, hangs):
        takeover = failover.takeover(topology, watch.leaves)
        if takeover is not None:
            ways.append((watch.noticed + takeover, watch, takeover))
    if not ways:
        reason = "nothing notices it" if hangs else "the weight never lets the next master pass"
        return failover.stays(None, f"{reason}: it lasts until haproxy is healed")
    total, watch, takeover = min(ways, key=lambda way: way[0].most)
    least = min(way[0].least for way in ways)
    slowest = max((way[1].recovered for way in ways), key=lambda span: span.most)
    how = "leaves, and the next one waits its skew" if watch.leaves else "only falls behind: three adverts and the skew"
    reason = f"{watch.text}; the holder {how}, {shown(takeover)}"
    vacant = takeover.most + GRAIN if watch.leaves else GRAIN
    outage = Span(least, total.most + GRAIN)
    return failover.goes(topology, True, outage, vacant, failover.back(topology, slowest), reason)


def crashed(situation: Situation) -> Promise:
    """haproxy is killed and systemd starts it again: does anything notice it in between?"""
    topology = situation.topology
    again = RESTART + Span(0.0, GRAIN)
    if len(topology.ranked) < 2:
        return replace(failover.stays(again, "systemd starts it again"), transient=True)
    certain = False
    latest: Watch | None = None
    for watch in failover.watches(topology.definition, hangs=False):
        takeover = failover.takeover(topology, watch.leaves)
        if takeover is None or watch.window > RESTART.most:
            continue
        at_once = watch.noticed.most == 0.0
        believed = RESTART.most if at_once else watch.recovered.most
        if not watch.leaves and believed < takeover.least:
            continue  # its priority is back before the next one's timer has run out
        certain = certain or (at_once and watch.leaves)
        if latest is None or watch.recovered.most > latest.recovered.most:
            latest = watch
    if latest is None:
        reason = "systemd starts it again before anything could follow from it"
        return replace(failover.stays(again, reason), transient=True)
    back = failover.back(topology, latest.recovered)
    takeover = failover.takeover(topology, latest.leaves) or failover.NOTHING
    most = max(again.most, takeover.most + GRAIN)
    if back is not None:
        most = max(most, RESTART.most + latest.noticed.most + back.most)
    reason = "the VIP moves and comes back: a client may lose connections both times"
    if back is None:
        reason = "the VIP moves, and nobody takes it back: a client may lose connections once"
    if not certain:
        reason = "systemd starts it again, but a check may fall in between: then " + reason
    outage = Span(min(again.least, takeover.least), most)
    vacant = takeover.most + GRAIN
    # It has brought the VIP back long before it is healed.
    made = failover.goes(topology, True if certain else None, outage, vacant, back, reason, failback=0.0)
    return replace(made, transient=True)


KINDS = (
    scripted("haproxy-stop", change="systemctl stop haproxy.service", undo=_START, promise=gone),
    scripted(
        "haproxy-kill",
        before=(
            f"mkdir -p {NO_RESTART.rpartition('/')[0]}\n"
            f"printf '[Service]\\nRestart=no\\n' > {NO_RESTART}\nsystemctl daemon-reload"
        ),
        change="systemctl kill --signal=SIGKILL haproxy.service",
        undo=f"rm -f {NO_RESTART}\nsystemctl daemon-reload\n{_START}",
        promise=gone,
    ),
    scripted("haproxy-crash", change="systemctl kill --signal=SIGKILL haproxy.service", undo=_START, promise=crashed),
    scripted(
        "haproxy-hang",
        change="systemctl kill --signal=SIGSTOP haproxy.service",
        # A watchdog may have replaced the stopped one: there may be nothing left to continue.
        undo="! systemctl is-active --quiet haproxy.service || systemctl kill --signal=SIGCONT haproxy.service\n"
        + _START,
        promise=hangs,
    ),
)
