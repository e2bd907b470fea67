"""``./inv doctor``."""

from __future__ import annotations

from lab import console
from lab.commands.up import check_provider
from lab.context import FOLDER, source_of
from lab.definition import load
from lab.doctor import examine
from lab.errors import ExitStatus
from lab.identity import Identity
from lab.requirements.finding import Grade

_STYLES = {Grade.GOOD: console.good, Grade.NOTE: console.dim, Grade.BAD: console.bad}


def run(definition: str, provider: str) -> None:
    """Show every finding; anything bad gives exit status 1."""
    wanted = load(source_of(definition))
    check_provider(provider)
    findings = examine(wanted, Identity(wanted.name, FOLDER), provider or wanted.provider)
    console.table(
        "Can this host run the lab?",
        ["", "subject", "seen", "what to do"],
        [
            [_STYLES[finding.grade](str(finding.grade)), finding.subject, finding.seen, finding.hint]
            for finding in findings
        ],
    )
    if any(finding.grade is Grade.BAD for finding in findings):
        raise SystemExit(ExitStatus.FAIL)
