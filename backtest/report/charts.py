"""The report's pictures: plotly figures as plain JSON objects, and small bars drawn in HTML.

Colours are written as CSS variables (`var(--gain)`) and resolved by the page when it is
shown, so that one file serves light and dark screens.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from backtest.result import BacktestResult
from novosky.measures.statistics import DAY, Ints

Figure = dict[str, Any]
"""What `Plotly.newPlot` takes: {"data": [...], "layout": {...}}."""

MAX_POINTS = 10_000
"""Points of a line; browsers draw more than this slowly and eyes see no more."""

_HOUR = 3600
_STEPS = (_HOUR, 4 * _HOUR, DAY, 7 * DAY)
_STEP_WORDS = {_HOUR: "hourly", 4 * _HOUR: "four-hourly", DAY: "daily", 7 * DAY: "weekly"}


def display_step(times: Ints, bar_seconds: int) -> int:
    """Return the seconds between drawn points: the bar itself, or the finest coarser step that draws quickly."""
    for step in (bar_seconds, *(step for step in _STEPS if step > bar_seconds)):
        if len(buckets(times, step)) <= MAX_POINTS:
            return step
    return _STEPS[-1]


def step_words(step: int, bar_seconds: int) -> str:
    """Say in one word how densely the lines are drawn."""
    return "every bar" if step == bar_seconds else _STEP_WORDS[step]


def buckets(times: Ints, step: int) -> Ints:
    """Return the index of the first bar of each step that has bars."""
    return np.concatenate(([0], np.flatnonzero(np.diff(times // step)) + 1))


def milliseconds(times: npt.NDArray[Any]) -> list[int]:
    """Return UTC epoch seconds as the milliseconds that plotly takes."""
    stamps: list[int] = (np.asarray(times, dtype=np.int64) * 1000).tolist()
    return stamps


def rounded(values: npt.NDArray[Any], digits: int = 2) -> list[float]:
    """Return numbers as short as a page needs them."""
    # Adding 0.0 turns the -0.0 of a costless sum into 0.0.
    short: list[float] = (np.round(np.asarray(values, dtype=np.float64), digits) + 0.0).tolist()
    return short


def line(name: str, x: list[int], y: list[float], color: str, *, dash: str = "solid", **more: Any) -> Figure:
    """Return a line of a chart; `more` goes to plotly as it is."""
    stroke = {"color": color, "width": 1.5, "dash": dash}
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": stroke, **more}


def bar_list(rows: Sequence[tuple[str, float, str]]) -> str:
    """Draw horizontal bars in HTML.

    Parameters
    ----------
    rows : sequence of (name, length, text)
        Bars are scaled to the longest; negative lengths are drawn as zero.
    """
    longest = max((length for _, length, _ in rows), default=0.0)
    lines = []
    for name, length, text in rows:
        width = 100.0 * max(length, 0.0) / longest if longest > 0 else 0.0
        lines.append(
            f'<div class="bar"><span>{html.escape(name)}</span>'
            f'<i><b style="width:{width:.1f}%"></b></i><em>{html.escape(text)}</em></div>'
        )
    return f'<div class="bars">{"".join(lines)}</div>'


def known(values: npt.NDArray[Any]) -> list[float | None]:
    """Return numbers with None where one is unknown: JSON has no NaN."""
    return [None if np.isnan(value) else round(float(value), 3) for value in values]


def density(result: BacktestResult) -> str:
    """Say how densely a chart of these bars is drawn."""
    seconds = int(result.params.bar_seconds)
    return step_words(display_step(result.bars.time, seconds), seconds)
