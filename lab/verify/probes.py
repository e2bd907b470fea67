"""Probes: they record and do nothing else. Each is a program on one machine or several, whose lines are records."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lab.command import Stream
from lab.errors import LabError
from lab.machines import programs
from lab.plan.watching import LIFETIME
from lab.verify import clock
from lab.verify.history import History
from lab.verify.records import Clock, Note
from lab.verify.view import LabView

#: Seconds between two looks at a master's addresses besides the kernel's own events.
BEAT = 0.1


@dataclass(frozen=True)
class Probe:
    """``program`` is in provision/probe; ``where`` says on which machines it runs, ``words`` are its arguments."""

    name: str
    program: str
    where: Callable[[LabView], Iterable[str]]
    words: Callable[[LabView], Iterable[object]]


#: The client's connections.
CONNECTIONS = Probe(
    "connections",
    "connections",
    lambda view: [view.client.name],
    lambda view: [view.topology.vip, view.topology.port, view.pace.rate, LIFETIME, "/readyz", view.pace.patience],
)

#: Which masters hold the VIP.
HOLDERS_OF_VIP = Probe(
    "holders",
    "holders",
    lambda view: [node.name for node in view.topology.load_balancers],
    lambda view: [view.topology.vip, BEAT, LIFETIME],
)


def lease(name: str) -> Probe:
    """Who holds a lease, followed from one master through the VIP."""
    return Probe(
        f"lease {name}",
        "api",
        lambda view: [view.operator()],
        lambda view: [view.endpoint, programs.KUBECONFIG, "halab-lease", "lease", name, LIFETIME],
    )


@dataclass
class Probes:
    """The probes of one case. ``stop`` ends them all and may be called twice."""

    view: LabView
    history: History
    _streams: dict[tuple[Probe, str], Stream] = field(default_factory=dict)

    def start(self, probe: Probe) -> None:
        """Start a probe, wherever it runs."""
        for node in probe.where(self.view):
            self._start(probe, node)

    def again(self, node: str) -> None:
        """Start anew what ran on a machine that was switched off, or stood still."""
        for probe, where in list(self._streams):
            if where == node:
                self._streams.pop((probe, node)).stop()
                self._start(probe, node)
        self.clocks(node)

    def clocks(self, *nodes: str) -> None:
        """Measure clocks against this host's: these machines', or all that are watched."""
        everyone = [self.view.client.name, *(node.name for node in self.view.topology.load_balancers)]
        for node in dict.fromkeys(nodes or everyone):
            offset = clock.measure(self.view.machines[node])
            self.history.add(Clock(source=node, offset=offset.seconds, error=offset.error))

    def _start(self, probe: Probe, node: str) -> None:
        words = [str(word) for word in probe.words(self.view)]

        def hear(line: str) -> None:
            self.history.hear(node, line)

        machine, text = self.view.machines[node], programs.text(probe.program)
        self._streams[probe, node] = machine.stream(["python3", "-u", "-", *words], hear, stdin=text)

    @property
    def connecting(self) -> bool:
        """Is the client's probe running, so that it will tell of every connection that it begins?"""
        return any(probe == CONNECTIONS and stream.alive for (probe, _), stream in self._streams.items())

    def end(self, probe: Probe) -> None:
        """End one probe, and leave the others running."""
        for key in [key for key in self._streams if key[0] == probe]:
            self._streams.pop(key).stop()

    def check(self) -> None:
        """Raises LabError when a probe has ended before its time."""
        for (probe, node), stream in self._streams.items():
            if not stream.alive:
                raise LabError(f"the probe '{probe.name}' on {node} ended: {stream.errors or 'it said nothing'}")

    def stop(self) -> None:
        """End all probes; one that had ended before is noted, for whoever reads an *unknown* later."""
        ended = [(key, stream) for key, stream in self._streams.items() if not stream.alive]
        for stream in self._streams.values():
            stream.stop()
        self._streams.clear()
        for (probe, node), stream in ended:
            self.history.add(Note(source=node, text=f"the probe '{probe.name}' had ended: {stream.errors}"))
