"""All that a person sees in the terminal. The only module that prints.

Long work shows live progress, a row a machine, where the output is a terminal; elsewhere plain lines, each complete in
itself.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from lab import output
from lab.command import Note
from lab.errors import LabError
from lab.timeline import Phase

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

#: What a table's cell may be: text, or text with a style.
Cell = RenderableType

#: Seconds between two lines about a phase that goes on, where the output is no terminal.
STILL_SECONDS = 30.0


def visible(text: str) -> str:
    """Text of others (a definition's values, a program's output) for a terminal, which would obey control characters:
    they are spelled, all but the end of a line and the tabulator.
    """
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def say(text: str, style: str = "") -> None:
    """One line for the reader."""
    out.print(Text(text, style=style))


def raw(text: str) -> None:
    """Text exactly as it is (for other programs to read)."""
    sys.stdout.write(text)
    sys.stdout.flush()


def warn(text: str) -> None:
    """Something the reader should know, on standard error."""
    err.print(Text("warning: ", style="yellow bold"), Text(visible(text)), sep="")


def notice(text: str) -> None:
    """Something that whoever sits at the terminal should know at once: also while live rows are shown there."""
    (out if out.is_terminal else err).print(Text(visible(text), style="yellow bold"))


def fail(error: LabError) -> None:
    """An expected failure, and those beside it: what, where, what to do."""
    for one in (error, *error.others):
        err.print(Text("error: ", style="red bold"), Text(visible(one.message)), sep="")
        if one.hint:
            err.print(Text(visible(f"  → {one.hint}"), style="cyan"))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[RenderableType]]) -> None:
    """A table; cells may carry their own style."""
    shown = Table(
        title=title or None, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False
    )
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*row)
    if out.is_terminal:
        out.print(shown)
    else:
        wide = Console(file=sys.stdout, width=200, highlight=False, no_color=True)
        wide.print(shown)


def good(text: str) -> Text:
    """A cell that says: as it should be."""
    return Text(text, style="green")


def bad(text: str) -> Text:
    """A cell that says: look here."""
    return Text(text, style="red bold")


def dim(text: str) -> Text:
    """A cell of little weight."""
    return Text(text, style="dim")


class Progress:
    """Shows the phases of long work while they happen (a lab.timeline.Listener). Use as a context manager."""

    def __init__(self, title: str, *, verbose: bool = False) -> None:
        self._title = title
        self._verbose = verbose
        self._begun = time.monotonic()
        self._current: dict[tuple[str, str], float] = {}
        self._last: dict[str, str] = {}
        self._lock = threading.Lock()
        self._live = (
            Live(get_renderable=self._rows, console=out, refresh_per_second=8, transient=True)
            if out.is_terminal
            else None
        )
        self._spinner = Spinner("dots")  # one for all renderings: it turns by its own age
        self._stop = threading.Event()

    def __enter__(self) -> Progress:
        if self._live is not None:
            self._live.start()
        else:
            say(self._title)
            threading.Thread(target=self._remind, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._live is not None:
            self._live.stop()

    def begin(self, machine: str, phase: str) -> None:
        """A phase began."""
        with self._lock:
            self._current[machine, phase] = time.monotonic()
            self._last.pop(machine, None)
        if self._live is None and self._verbose:
            say(f"{self._stamp()}  {machine or 'host':<10} {phase} …")

    def line(self, machine: str, text: str) -> None:
        """A machine said something: the last line of each is shown."""
        if not text.strip():
            return
        if isinstance(text, Note):
            shown = Text.assemble(
                (self._stamp(), "dim"), (" ! ", "yellow bold"), f"{machine}: {text}" if machine else text
            )
            (self._live.console if self._live is not None else out).print(shown)
            return
        text = visible(text.strip())
        with self._lock:
            self._last[machine] = text
        if self._verbose:
            say(f"{self._stamp()}  {machine or 'host':<10} | {text}", style="dim")

    def end(self, phase: Phase) -> None:
        """A phase ended: it becomes a line that stays."""
        with self._lock:
            self._current.pop((phase.machine, phase.name), None)
        mark = Text(" ✓ ", style="green") if phase.ok else Text(" ✗ ", style="red bold")
        text = Text.assemble(
            (self._stamp(), "dim"),
            mark,
            f"{phase.machine or 'host':<10} {phase.name:<24}",
            (f"{phase.duration:6.1f} s", "bold"),
        )
        if self._live is not None:
            self._live.console.print(text)
        else:
            out.print(text)

    def _stamp(self) -> str:
        return f"{time.monotonic() - self._begun:6.1f} s"

    def _rows(self) -> RenderableType:
        rows = Table.grid(padding=(0, 2))
        with self._lock:
            for (machine, phase), begun in sorted(self._current.items()):
                took = f"{time.monotonic() - begun:5.1f} s"
                said = self._last.get(machine, "")[: max(10, out.width - 50)]
                rows.add_row(
                    self._spinner,
                    machine or "host",
                    phase,
                    took,
                    Text(said, style="dim", no_wrap=True, overflow="ellipsis"),
                )
        return Group(Text(f"{self._title}  {self._stamp().strip()}", style="bold"), rows)

    def _remind(self) -> None:
        while not self._stop.wait(STILL_SECONDS):
            with self._lock:
                running = ", ".join(
                    f"{machine or 'host'} {phase} ({time.monotonic() - begun:.0f} s)"
                    for (machine, phase), begun in self._current.items()
                )
            if running:
                say(f"{self._stamp()}   still at: {running}")


def watch(render: Callable[[], RenderableType], seconds: float) -> None:
    """Show something afresh every ``seconds`` until Ctrl-C, or until nobody reads it any more."""
    pause = threading.Event()
    with Live(render(), console=out, screen=out.is_terminal, auto_refresh=False) as live:
        while not output.lost() and not pause.wait(seconds):
            live.update(render(), refresh=True)
