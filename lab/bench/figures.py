"""Figures from several rounds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Spread:
    """What several rounds of one figure look like; ``values`` in the order of the rounds, in seconds."""

    values: tuple[float, ...]

    @property
    def least(self) -> float:
        """The smallest."""
        return min(self.values)

    @property
    def median(self) -> float:
        """The one to quote."""
        return median(self.values)

    @property
    def most(self) -> float:
        """The largest."""
        return max(self.values)

    def shown(self) -> list[str]:
        """Median, least, most and the number of rounds, for a table."""
        return [seconds(self.median), seconds(self.least), seconds(self.most), str(len(self.values))]


def seconds(value: float) -> str:
    """Milliseconds where seconds would hide the figure."""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def collect(rounds: Iterable[Mapping[str, float]]) -> dict[str, Spread]:
    """One spread a name, over all rounds that have it, in the order in which the names came up."""
    found: dict[str, list[float]] = {}
    for figures in rounds:
        for name, value in figures.items():
            found.setdefault(name, []).append(value)
    return {name: Spread(tuple(values)) for name, values in found.items()}


def as_data(spreads: Mapping[str, Spread]) -> dict[str, dict[str, float | Sequence[float]]]:
    """Plain data for JSON."""
    return {
        name: {"median": spread.median, "min": spread.least, "max": spread.most, "values": list(spread.values)}
        for name, spread in spreads.items()
    }
