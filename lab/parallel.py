"""Working in several threads at once, so that an interrupt ends all of it and not the main thread alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from lab.command import TERM_GRACE, end_commands
from lab.errors import LabError
from lab.interrupts import waiting


@contextmanager
def workers(count: int) -> Iterator[ThreadPoolExecutor]:
    """At most ``count`` threads that have all ended when the with-block has.

    On an exception those under way are waited for; on an interrupt (Ctrl-C reaches the main thread only) nothing new
    begins, and the commands that the threads wait for are ended.
    """
    threads: list[threading.Thread] = []
    pool = ThreadPoolExecutor(max(1, count), initializer=lambda: threads.append(threading.current_thread()))
    try:
        with waiting():
            yield pool
    except (KeyboardInterrupt, SystemExit):
        pool.shutdown(wait=False, cancel_futures=True)
        _end(threads)
        raise
    finally:
        pool.shutdown()


def gather(futures: Sequence[Future[Any]]) -> None:
    """Wait for all, then raise the first failure: nothing goes on in the background after an error was shown.

    Of failures for which somebody can do something (LabError) the others come with the first.
    """
    errors = list(dict.fromkeys(error for error in (future.exception() for future in futures) if error is not None))
    if not errors:
        return
    first, *others = errors
    if isinstance(first, LabError):
        first.others += [error for error in others if isinstance(error, LabError)]
    raise first


def _end(threads: list[threading.Thread]) -> None:
    """End the threads' commands until the threads have ended too: one may just have begun its next command."""
    deadline = time.monotonic() + 2 * TERM_GRACE
    while any(thread.is_alive() for thread in threads) and time.monotonic() < deadline:
        end_commands(threads)
        for thread in threads:
            thread.join(0.05)
