"""Interrupts of the test's own process, answered as the program answers them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab import interrupts


@contextmanager
def answered(monkeypatch: pytest.MonkeyPatch) -> Iterator[interrupts._Process]:
    """Inside, SIGINT is answered by a process that nobody has interrupted yet."""
    fresh = interrupts._Process()
    monkeypatch.setattr(interrupts, "_process", fresh)
    before = signal.signal(signal.SIGINT, fresh.handle)
    try:
        yield fresh
    finally:
        signal.signal(signal.SIGINT, before)


def interrupt() -> None:
    """Press Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)
