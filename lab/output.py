"""Standard output and standard error, whose reader may go away in the middle of work that must not end by that."""

from __future__ import annotations

import errno
import io
import sys

#: Errors that mean: nobody reads any more (a pipe's other end ended, the terminal was closed). No reason to complain.
UNREAD = (errno.EPIPE, errno.EIO)

#: Why output was lost, by the error's number.
_lost: dict[int | None, OSError] = {}


class _Unfailing(io.FileIO):
    """A file in which what cannot be written is lost, once and for all."""

    def write(self, data: object, /) -> int:
        """Write; says that all was written when it was not."""
        try:
            written: int = super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            _lost.setdefault(error.errno, error)
            return memoryview(data).nbytes  # type: ignore[arg-type]
        return written


def guard() -> None:
    """From now on output that cannot be written raises nothing: it is lost, which ``lost`` and ``trouble`` tell."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            setattr(sys, name, _guarded(stream))


def lost() -> bool:
    """Was some output lost?"""
    return bool(_lost)


def trouble() -> OSError | None:
    """Why output was lost that somebody would have read, such as a file's on a full disk; None when there was none."""
    return next((error for number, error in _lost.items() if number not in UNREAD), None)


def _guarded(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """The same stream, its file and its habits, unfailing."""
    return io.TextIOWrapper(
        io.BufferedWriter(_Unfailing(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
