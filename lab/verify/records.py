"""What a history consists of: one type a kind of record, for those who write it and for those who read it.

Every line of a history.jsonl is one record as JSON, with ``kind`` and the fields of its type, and with the ``case`` and
``round`` that it belongs to. The programs in provision/probe print the same without case, source and arrival. A kind
that is new is a class here, added to AnyRecord; a field that is new has a default. Whatever else changes raises FORM,
and older.py learns to read what was before.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from lab.faults.spec import Fault
from lab.kubernetes.leases import holder_host
from lab.verify.pace import NATIVE, Pace
from lab.verify.promised import Promised

#: The form of histories that this program writes. Those from before forms were counted (0) are read too.
FORM = 1

#: The source of what this program itself does and sees.
LAB = "lab"


@dataclass(frozen=True)
class Part:
    """A part of a history: a case, or one of its rounds (from 1; 0 where it is run once only)."""

    case: str
    round: int = 0

    def __str__(self) -> str:
        return f"{self.case}#{self.round}" if self.round else self.case


class Record(BaseModel):
    """One thing that was done or seen.

    ``source`` is the machine that saw it, LAB for this program; ``t`` is when, by the source's own clock; ``r`` is when
    that arrived here, by this host's clock; both in seconds since the epoch.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="constants")

    source: str = LAB
    t: float = Field(default_factory=time.time)
    r: float = Field(default_factory=time.time)


class Header(Record):
    """What a case starts from; the first record of each.

    ``ranking`` are the masters by priority, best first; ``preempt``: does the best one always take the VIP (back)?
    ``promise`` is None where nothing was promised of what the case does.
    """

    kind: Literal["header"] = "header"
    form: int = FORM
    name: str = ""
    ranking: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    vip: str = ""
    port: int = 0
    priorities: dict[str, int | None] = {}
    preempt: bool = True
    pace: Pace = NATIVE
    promise: Promised | None = None


class Phase(Record):
    """A phase begins: steady, settled, fault or requests, heal, end."""

    kind: Literal["phase"] = "phase"
    name: str


class Clock(Record):
    """The source's clock is ``offset`` seconds ahead of the host's, known to ±``error``."""

    kind: Literal["clock"] = "clock"
    offset: float
    error: float


class Note(Record):
    """Something for people; also a line of a program that is no record."""

    kind: Literal["note"] = "note"
    text: str


class Trouble(Record):
    """What kept a client of the API from its answer."""

    kind: Literal["trouble"] = "trouble"
    what: str


class BrokenOff(Record):
    """Why a case did not come to its end."""

    kind: Literal["broken-off"] = "broken-off"
    text: str


FaultEvent = Literal["begin", "begun", "heal", "healed"]


class FaultStep(Record):
    """A fault comes a step further.

    ``begin``, before anything is done; ``begun``, on each machine that tells the moment, by its own clock, else once;
    ``heal``, before it is healed; ``healed``. ``id`` is the same in all of them; ``silences``: the machine itself
    stands still meanwhile.
    """

    kind: Literal["fault"] = "fault"
    event: FaultEvent
    id: str
    fault: Fault
    silences: bool


class ProbeStart(Record):
    """The client begins to connect so many times a second, with this scheduling priority."""

    kind: Literal["probe-start"] = "probe-start"
    rate: float = 0.0
    priority: str = ""


class Probe(Record):
    """One connection of the client: seconds to the answer and behind schedule, and how it ended ("ok", "refused" …)."""

    kind: Literal["probe"] = "probe"
    latency: float
    late: float
    outcome: str


class ProbeSkipped(Record):
    """The client stood still, so that so many connections were never started."""

    kind: Literal["probe-skipped"] = "probe-skipped"
    count: int


class Holder(Record):
    """Does the source hold the VIP? ``why`` it looked ("start", "change", "beat"), ``late`` by so many seconds."""

    kind: Literal["holder"] = "holder"
    holds: bool
    why: str = ""
    late: float = 0.0


class PodAsked(Record):
    """From here on a pod's creation is tried."""

    kind: Literal["pod-asked"] = "pod-asked"
    pod: str


class Pod(Record):
    """A pod was created, scheduled (to ``node``) or runs there."""

    kind: Literal["pod"] = "pod"
    pod: str
    event: str
    node: str = ""


class LeaseLook(Record):
    """Who holds a lease, as its holderIdentity (``host_uuid``); "" is nobody: it was given up.

    ``found``: was it so already when the watch was opened, or did it come about just now? None in older runs.
    """

    lease: str
    holder: str
    found: bool | None = None

    @property
    def host(self) -> str:
        """The host part of the identity; "" for nobody."""
        return holder_host(self.holder)


class Lease(LeaseLook):
    """Another holder than was told before, or the first that is told."""

    kind: Literal["lease"] = "lease"


class LeaseSeen(LeaseLook):
    """The same holder is seen again. What was not told for a while was not seen."""

    kind: Literal["lease-seen"] = "lease-seen"


class Burst(Record):
    """So many pods are now asked for, one after another."""

    kind: Literal["burst"] = "burst"
    count: int


class Request(Record):
    """What the API answered to the creation of one of them: its status, 0 and the error where it did not."""

    kind: Literal["request"] = "request"
    pod: str
    status: int
    latency: float | None = None
    error: str = ""


class Audit(Record):
    """How many creations the source's own audit logs (``files`` of them) show of one user agent."""

    kind: Literal["audit"] = "audit"
    count: int
    agent: str = ""
    files: int = 0


class Sessions(Record):
    """The sessions of each server, and its status, by the source's haproxy, ``when``: "before" or "after" a burst."""

    kind: Literal["sessions"] = "sessions"
    sessions: dict[str, int]
    status: dict[str, str] = {}
    when: str = ""


class Cleaned(Record):
    """So many pods were deleted."""

    kind: Literal["cleaned"] = "cleaned"
    count: int


#: Every kind, told apart by its word.
AnyRecord = Annotated[
    Header
    | Phase
    | Clock
    | Note
    | Trouble
    | BrokenOff
    | FaultStep
    | ProbeStart
    | Probe
    | ProbeSkipped
    | Holder
    | PodAsked
    | Pod
    | Lease
    | LeaseSeen
    | Burst
    | Request
    | Audit
    | Sessions
    | Cleaned,
    Field(discriminator="kind"),
]

_ANY: TypeAdapter[Record] = TypeAdapter(AnyRecord)


def read(data: Mapping[str, object]) -> Record:
    """The record that these fields are. Raises ValueError for what is none."""
    return _ANY.validate_python(data)


def heard(source: str, line: str) -> Record:
    """What a program on a machine printed; a line that is no record is kept as a note.

    Where it comes from and when it came is known here better than there.
    """
    now = time.time()
    try:
        said = json.loads(line)
        return read({**said, "t": said["t"], "source": source, "r": now})
    except (ValueError, KeyError, TypeError):
        return Note(source=source, t=now, r=now, text=line)
