"""Equity over all folds as a still picture with axes: SVG that needs no script."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from novosky.measures.statistics import Floats, Ints

Line = tuple[str, str, Floats]
"""A name, a colour, and equity in multiples of the starting balance at each close."""

_POINTS = 800
_WIDTH, _HEIGHT = 1000, 300
_LEFT, _BOTTOM = 56, 26
_LEVELS = 6
"""About so many horizontal lines."""
_DATES = 7


def equity_chart(lines: Sequence[Line], folds: Sequence[Ints]) -> str:
    """Return the chart with a legend below it, as HTML.

    Parameters
    ----------
    lines : sequence of Line
        All over the same bars.
    folds : sequence of ndarray of int
        Opens of each fold's bars, UTC epoch seconds; together as long as a line.
    """
    times = np.concatenate(folds)
    low = min(1.0, *(float(equity.min()) for _, _, equity in lines))
    high = max(1.0, *(float(equity.max()) for _, _, equity in lines))
    levels = _levels(low, high)
    low, high = min(low, levels[0]), max(high, levels[-1])

    def across(row: float) -> float:
        return _LEFT + (_WIDTH - _LEFT) * row / max(len(times) - 1, 1)

    def up(level: float) -> float:
        return _HEIGHT * (high - level) / max(high - low, 1e-9)

    drawn = [_level_line(level, up(level)) for level in levels]
    drawn += [
        f'<line x1="{across(row):.1f}" x2="{across(row):.1f}" y1="0" y2="{_HEIGHT}" stroke="var(--line)" '
        'stroke-dasharray="3 3"/>'
        for row in np.cumsum([len(fold) for fold in folds])[:-1].tolist()
    ]
    drawn += [_date(int(times[row]), across(row)) for row in _spread(len(times), _DATES)]
    for name, colour, equity in lines:
        rows = np.unique(np.linspace(0, len(equity) - 1, _POINTS).round().astype(np.int64)).tolist()
        points = " ".join(f"{across(row):.1f},{up(float(equity[row])):.1f}" for row in rows)
        words = f"{name}: ends at {float(equity[-1]):.2f} times the starting balance"
        drawn.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{points}">'
            f"<title>{html.escape(words)}</title></polyline>"
        )
    legend = " &nbsp; ".join(
        f'<b style="color:{colour}">&mdash;</b> {html.escape(name)} {float(equity[-1]):.2f}'
        for name, colour, equity in lines
    )
    return (
        f'<svg viewBox="0 -8 {_WIDTH} {_HEIGHT + _BOTTOM + 8}" role="img" aria-label="equity of all folds" '
        f'style="width:100%;font-size:12px;fill:var(--muted)">{"".join(drawn)}</svg><p class="note">{legend} at the '
        "end, in multiples of the starting balance. Dashed lines part the folds.</p>"
    )


def _levels(low: float, high: float) -> list[float]:
    """Return round levels that enclose the range, 1 among them or between two of them."""
    rough = max(high - low, 0.01) / _LEVELS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough)
    return [round(step * at, 10) for at in range(math.floor(low / step), math.ceil(high / step) + 1)]


def _level_line(level: float, y: float) -> str:
    colour = "var(--muted)" if level == 1.0 else "var(--line)"
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}"/>'
        f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{level:g}&times;</text>'
    )


def _date(seconds: int, x: float) -> str:
    text = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
    anchor = "start" if x <= _LEFT + 1 else "end" if x >= _WIDTH - 1 else "middle"
    return f'<text x="{x:.1f}" y="{_HEIGHT + 18}" text-anchor="{anchor}">{text}</text>'


def _spread(count: int, most: int) -> list[int]:
    return sorted({round((count - 1) * at / (most - 1)) for at in range(most)})
