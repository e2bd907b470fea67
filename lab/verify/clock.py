"""How far a machine's clock is from this host's, and how well that is known."""

from __future__ import annotations

import shlex
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.interrupts import waiting
from lab.machine import Machine

#: Exchanges per measurement: the quickest one bounds the error, and a busy machine has few quick ones.
EXCHANGES = 10

#: Seconds for a whole measurement, connection included.
LIMIT = 20.0

#: The kernel's name for this boot of itself: equal on two machines only when they share one kernel, and so one clock.
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

#: Says the boot id, then answers each line with the time; sent as an argument because its input is the exchange.
ANSWERER = (
    "import sys,time;"
    f"print(open('{BOOT_ID}').read().strip(),flush=True);"
    "[print(repr(time.time()),flush=True) for _ in sys.stdin]"
)


@dataclass(frozen=True)
class Offset:
    """``seconds`` that a machine's clock is ahead of the host's, wrong by at most ``error`` seconds."""

    seconds: float
    error: float


def from_exchanges(exchanges: list[tuple[float, float, float]]) -> Offset:
    """The offset by (sent, machine's time, received): the quickest exchange, wrong by at most half its round trip."""
    sent, remote, received = min(exchanges, key=lambda exchange: exchange[2] - exchange[0])
    return Offset(remote - (sent + received) / 2, (received - sent) / 2)


def measure(machine: Machine) -> Offset:
    """Measure a machine's clock against this host's; exactly zero where both share one kernel.

    Raises LabError when the machine does not answer within LIMIT seconds.
    """
    remote = shlex.join(["python3", "-u", "-c", ANSWERER])
    process = subprocess.Popen(
        [*machine.channel.ssh(machine.name, "-o", "ControlPath=none"), remote],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
        start_new_session=True,
    )
    timer = threading.Timer(LIMIT, process.kill)
    timer.start()
    try:
        with waiting():
            return _ask(process)
    except (OSError, ValueError) as error:
        raise LabError(f"{machine.name} did not tell its time within {LIMIT:.0f} s", "is it running?") from error
    finally:
        timer.cancel()
        process.kill()
        process.communicate()


def _ask(process: subprocess.Popen[str]) -> Offset:
    """Talk to the answerer."""
    assert process.stdin is not None and process.stdout is not None
    if process.stdout.readline().strip() == BOOT_ID.read_text(encoding="ascii").strip():
        return Offset(0.0, 0.0)
    exchanges = []
    for _ in range(EXCHANGES):
        sent = time.time()
        process.stdin.write("\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        exchanges.append((sent, float(answer), time.time()))
    return from_exchanges(exchanges)
