"""``./inv status``."""

from __future__ import annotations

import json

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lab import console
from lab.cli.tables import leases_line, machines_table
from lab.cluster.status import Status
from lab.context import open_lab
from lab.errors import ExitStatus

#: Seconds between two looks with --watch.
WATCH_SECONDS = 1.0


def run(name: str, definition: str, *, as_json: bool, watch: bool) -> None:
    """Show the lab once, or again and again; a degraded lab gives exit status 1."""
    lab = open_lab(name, definition)
    if watch:
        console.watch(lambda: _picture(lab.status()), WATCH_SECONDS)
        return
    status = lab.status()
    if as_json:
        console.raw(json.dumps(status.as_json(), indent=1) + "\n")
    else:
        console.out.print(_picture(status))
    if not status.healthy:
        raise SystemExit(ExitStatus.FAIL)


def _picture(status: Status) -> RenderableType:
    columns, rows = machines_table(status)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    verdict = Text("healthy", style="green bold") if status.healthy else Text("degraded", style="red bold")
    head = Text.assemble((f"lab {status.lab}", "bold"), f" ({status.provider})  endpoint {status.endpoint}  ", verdict)
    problems = [Text(f"  ✗ {problem}", style="red") for problem in status.problems]
    leases = leases_line(status)
    return Group(
        head, "", table, *([Text(""), Text(leases)] if leases else []), *([Text(""), *problems] if problems else [])
    )
