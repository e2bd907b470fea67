"""What was looked at on a host, what was seen and what it means for a lab."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How a finding bears on a lab: with a bad one it cannot be made, or not as it was asked for."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was seen, what it means; ``hint`` says what to do about it."""

    subject: str
    seen: str
    grade: Grade
    hint: str = ""
