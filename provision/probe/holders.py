"""Does this machine hold the VIP? Said at every change, by the kernel's own events, and again at every beat.

    python3 -u - ADDRESS BEAT LIFETIME

Lines: {"kind": "holder", "t": seconds on this machine's clock, "holds": bool, "why": "start" | "change" | "beat",
"late": seconds that a beat came behind its time}. A beat is a fresh look, not a memory: should an event have been
lost, the next beat tells. Machines that beat no more are dead, paused or out of reach.

Only the standard library (Python 3.9 or later): it is sent over ssh and run as it is.
"""

import contextlib
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator

# linux/rtnetlink.h and linux/if_addr.h
RTMGRP_IPV4_IFADDR = 0x10
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
NLM_F_REQUEST, NLM_F_DUMP = 0x1, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
IFA_LOCAL = 2

MESSAGE = struct.Struct("=IHHII")
ADDRESS = struct.Struct("=BBBBi")
ATTRIBUTE = struct.Struct("=HH")


def messages(data: bytes) -> Iterator[tuple[int, str | None]]:
    """(type, local address) of every message in one datagram; the address is None where there is none."""
    offset = 0
    while offset + MESSAGE.size <= len(data):
        length, kind, _, _, _ = MESSAGE.unpack_from(data, offset)
        if length < MESSAGE.size:
            return
        yield kind, local(data[offset + MESSAGE.size : offset + length]) if kind in (RTM_NEWADDR, RTM_DELADDR) else None
        offset += (length + 3) & ~3


def local(body: bytes) -> str | None:
    """The local address in the body of an address message."""
    offset = ADDRESS.size
    while offset + ATTRIBUTE.size <= len(body):
        length, kind = ATTRIBUTE.unpack_from(body, offset)
        if length < ATTRIBUTE.size:
            return None
        if kind == IFA_LOCAL:
            return socket.inet_ntoa(body[offset + ATTRIBUTE.size : offset + ATTRIBUTE.size + 4])
        offset += (length + 3) & ~3
    return None


def held(address: str) -> bool:
    """Ask the kernel for all addresses: is this one among them?"""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as query:
        query.bind((0, 0))
        body = ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)
        query.send(MESSAGE.pack(MESSAGE.size + len(body), RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body)
        found = False
        while True:
            for kind, value in messages(query.recv(1 << 16)):
                if kind == NLMSG_ERROR:
                    raise OSError("the kernel refused to list the addresses")
                if kind == NLMSG_DONE:
                    return found
                found = found or (kind == RTM_NEWADDR and value == address)


def emit(record: dict[str, object]) -> None:
    """One line; when nobody reads any more, the watcher has no reason to go on."""
    try:
        sys.stdout.write(json.dumps(record) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)  # an orderly exit would only try to flush the same pipe again


def watch(address: str, beat: float, lifetime: float) -> None:
    """Say at once, at every change and every ``beat`` seconds whether this machine holds ``address``."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as events:
        # Subscribed first, asked second: a change in between is then seen twice, never missed.
        events.bind((0, RTMGRP_IPV4_IFADDR))
        holds = held(address)
        begin = time.monotonic()
        emit({"kind": "holder", "t": time.time(), "holds": holds, "why": "start", "late": 0.0})
        due = begin + beat
        while time.monotonic() - begin < lifetime:
            readable, _, _ = select.select([events], [], [], max(0.0, due - time.monotonic()))
            stamp = time.time()
            if readable:
                try:
                    changes = list(messages(events.recv(1 << 16)))
                except OSError:
                    changes = []  # the kernel dropped events (ENOBUFS): the next beat looks afresh
                for kind, value in changes:
                    now = kind == RTM_NEWADDR
                    if value == address and now != holds:
                        holds = now
                        emit({"kind": "holder", "t": stamp, "holds": holds, "why": "change", "late": 0.0})
            if time.monotonic() >= due:
                holds = held(address)
                # Told is how late the look was when it was over: wherever this program stood still, that is in it,
                # or in the next one.
                stamp, late = time.time(), time.monotonic() - due
                emit({"kind": "holder", "t": stamp, "holds": holds, "why": "beat", "late": round(late, 6)})
                due += beat * (int(late / beat) + 1)


def main(address: str, beat: str, lifetime: str) -> None:
    """Read the arguments, come before the load that is watched, and watch."""
    # Without the right to it the beats' own lateness tells how good the stamps are.
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    watch(address, float(beat), float(lifetime))


if __name__ == "__main__":
    main(*sys.argv[1:])
