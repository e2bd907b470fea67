"""One picture of a bench: a row a figure, a dot a round, a bar for the median. Pure: data in, SVG out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

from lab.bench.figures import Spread, seconds

ROW, LEFT, WIDTH, TOP = 22, 260, 560, 34

STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.axis{stroke:#bbb}.dot{fill:#2a6fdb;fill-opacity:.55}"
    ".median{stroke:#c0392b;stroke-width:2}.head{font-weight:600}"
    "@media(prefers-color-scheme:dark){svg{background:#16181d}text{fill:#ddd}.axis{stroke:#555}.dot{fill:#7fb0ff}}"
)


def plot(title: str, spreads: Mapping[str, Spread]) -> str:
    """An SVG document with a logarithmic axis, because a failover takes milliseconds here and seconds there."""
    values = [max(value, 1e-3) for spread in spreads.values() for value in spread.values]
    low = math.floor(math.log10(min(values, default=0.01)))
    high = max(low + 1, math.ceil(math.log10(max(values, default=10))))

    def x(value: float) -> float:
        return LEFT + (math.log10(max(value, 1e-3)) - low) / (high - low) * WIDTH

    height = TOP + ROW * (len(spreads) + 1) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 120} {height}">',
        f"<style>{STYLE}</style>",
        f'<text class="head" x="8" y="18">{escape(title)}</text>',
    ]
    for power in range(low, high + 1):
        at = x(10.0**power)
        parts.append(f'<line class="axis" x1="{at:.1f}" y1="{TOP - 6}" x2="{at:.1f}" y2="{height - 26}"/>')
        parts.append(f'<text x="{at:.1f}" y="{height - 10}" text-anchor="middle">{seconds(10.0**power)}</text>')
    for number, (name, spread) in enumerate(spreads.items()):
        y = TOP + ROW * number + ROW / 2
        parts.append(f'<text x="8" y="{y + 4:.1f}">{escape(name)}</text>')
        parts += [f'<circle class="dot" cx="{x(value):.1f}" cy="{y:.1f}" r="4"/>' for value in spread.values]
        at = x(spread.median)
        parts.append(f'<line class="median" x1="{at:.1f}" y1="{y - 8:.1f}" x2="{at:.1f}" y2="{y + 8:.1f}"/>')
        parts.append(f'<text x="{LEFT + WIDTH + 12}" y="{y + 4:.1f}">{seconds(spread.median)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
