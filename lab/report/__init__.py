"""What a run leaves for people and for machines: report.html and junit.xml, from the run's folder alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lab.report import html, junit
from lab.verify.judge import Judged, judge


def write_report(folder: Path, judged: Sequence[Judged]) -> Path:
    """Write report.html and junit.xml of a judged run into its folder and return the page's path."""
    page, results = folder / "report.html", folder / "junit.xml"
    page.write_text(html.render(folder.name, judged), encoding="utf-8")
    results.write_text(junit.render(folder.name, [one.verdict for one in judged]), encoding="utf-8")
    return page


def report_again(folder: Path) -> Path:
    """The same of an old run, by today's checks. Raises LabError when its history cannot be read."""
    return write_report(folder, judge(folder))
