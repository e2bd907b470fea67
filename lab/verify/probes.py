"""Probes: they record and do nothing else. Each is a program on a machine whose lines go into the history."""

from __future__ import annotations

from dataclasses import dataclass, field

from lab.command import Stream
from lab.errors import LabError
from lab.plan.watching import LIFETIME
from lab.verify import clock, programs
from lab.verify.history import History
from lab.verify.view import LabView

#: Seconds between two looks at a master's addresses besides the kernel's own events.
BEAT = 0.1


@dataclass
class Probes:
    """The probes of one case. ``stop`` ends them all and may be called twice."""

    view: LabView
    history: History
    _streams: dict[str, tuple[str, Stream]] = field(default_factory=dict)

    def start(self) -> None:
        """Start the client's connections and every master's holder watcher."""
        topology = self.view.topology
        client = self.view.client.name
        pace = self.view.pace
        words = [topology.vip, topology.port, pace.rate, LIFETIME, "/readyz", pace.patience]
        self._stream("connections", client, "connections", words)
        for node in topology.masters:
            self.watch_holder(node.name)

    def watch_holder(self, node: str) -> None:
        """Watch (again) whether a master holds the VIP; needed anew after its machine was switched off."""
        self._stream(f"holders {node}", node, "holders", [self.view.topology.vip, BEAT, LIFETIME])

    def watch_lease(self, node: str, lease: str) -> None:
        """Follow a lease from one master, through the VIP."""
        endpoint = f"{self.view.topology.vip}:{self.view.topology.port}"
        self._stream(
            f"lease {lease}", node, "api", [endpoint, programs.KUBECONFIG, "halab-lease", "lease", lease, LIFETIME]
        )

    def clocks(self, *nodes: str) -> None:
        """Measure clocks against this host's: these machines', or all that are watched."""
        everyone = [self.view.client.name, *(node.name for node in self.view.topology.masters)]
        for node in dict.fromkeys(nodes or everyone):
            offset = clock.measure(self.view.machines[node])
            self.history.add("clock", source=node, offset=offset.seconds, error=offset.error)

    def _stream(self, key: str, node: str, program: str, args: list[object]) -> None:
        old = self._streams.pop(key, None)
        if old is not None:
            old[1].stop()
        words = [str(arg) for arg in args]

        def hear(line: str) -> None:
            self.history.hear(node, line)

        stream = self.view.machines[node].stream(["python3", "-u", "-", *words], hear, stdin=programs.text(program))
        self._streams[key] = node, stream

    @property
    def connecting(self) -> bool:
        """Is the client's probe running, so that it will tell of every connection that it begins?"""
        return "connections" in self._streams and self._streams["connections"][1].alive

    def end_client(self) -> None:
        """End the client's connections, and leave the other probes running."""
        _, stream = self._streams.pop("connections")
        stream.stop()

    def check(self) -> None:
        """Raises LabError when a probe has ended before its time."""
        for key, (node, stream) in self._streams.items():
            if not stream.alive:
                raise LabError(f"the probe '{key}' on {node} ended: {stream.errors or 'it said nothing'}")

    def stop(self) -> None:
        """End all probes; one that had ended before is noted, for whoever reads an *unknown* later."""
        ended = [(key, node, stream) for key, (node, stream) in self._streams.items() if not stream.alive]
        for _, stream in self._streams.values():
            stream.stop()
        self._streams.clear()
        for key, node, stream in ended:
            self.history.add("note", source=node, text=f"the probe '{key}' had ended: {stream.errors}")
