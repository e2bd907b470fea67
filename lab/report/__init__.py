"""What a run leaves for people and for machines: report.html and junit.xml, from the run's folder alone."""

from __future__ import annotations

from pathlib import Path

from lab.report import html, junit
from lab.verify.history import load
from lab.verify.judge import judge
from lab.verify.recorded import Recorded


def write_report(folder: Path) -> Path:
    """Write report.html and junit.xml into a run's folder and return the page's path.

    Judges the run's history anew, so that an old run gets the report of today's checks. Raises LabError when the
    history cannot be read.
    """
    cases = judge(folder)
    history = folder / "history.jsonl"
    records = {name: Recorded(found) for name, found in load(history).items()} if history.exists() else {}
    page, results = folder / "report.html", folder / "junit.xml"
    page.write_text(html.render(folder.name, cases, records), encoding="utf-8")
    results.write_text(junit.render(folder.name, cases), encoding="utf-8")
    return page
