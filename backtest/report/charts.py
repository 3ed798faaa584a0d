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

from backtest.benchmarks import Band
from backtest.metrics import net_results, r_multiples
from backtest.result import BacktestResult
from novosky.measures.statistics import DAY, Ints, drawdowns

Figure = dict[str, Any]
"""What `Plotly.newPlot` takes: {"data": [...], "layout": {...}}."""

MAX_POINTS = 10_000
"""Points of a line; browsers draw more than this slowly and eyes see no more."""
_HELD_SPAN = 3.0
"""Buy and hold is drawn from the start unless it spans so many times what equity does."""
R_LIMIT = 3.0
"""The histogram gathers results beyond this many R in its outermost bars."""

_HOUR = 3600
_STEPS = (_HOUR, 4 * _HOUR, DAY, 7 * DAY)
_STEP_WORDS = {_HOUR: "hourly", 4 * _HOUR: "four-hourly", DAY: "daily", 7 * DAY: "weekly"}


def display_step(times: Ints, bar_seconds: int) -> int:
    """Return the seconds between drawn points: the bar itself, or the finest coarser step that draws quickly."""
    for step in (bar_seconds, *(step for step in _STEPS if step > bar_seconds)):
        if len(_buckets(times, step)) <= MAX_POINTS:
            return step
    return _STEPS[-1]


def step_words(step: int, bar_seconds: int) -> str:
    """Say in one word how densely the lines are drawn."""
    return "every bar" if step == bar_seconds else _STEP_WORDS[step]


def _buckets(times: Ints, step: int) -> Ints:
    """Return the index of the first bar of each step that has bars."""
    return np.concatenate(([0], np.flatnonzero(np.diff(times // step)) + 1))


def _milliseconds(times: npt.NDArray[Any]) -> list[int]:
    stamps: list[int] = (np.asarray(times, dtype=np.int64) * 1000).tolist()
    return stamps


def _rounded(values: npt.NDArray[Any], digits: int = 2) -> list[float]:
    rounded: list[float] = np.round(np.asarray(values, dtype=np.float64), digits).tolist()
    return rounded


def equity_figure(result: BacktestResult) -> Figure:
    """Draw floating equity at closes, buy and hold of the same balance, and the drawdown below."""
    bars, start = result.bars, result.start_balance
    first = _buckets(bars.time, display_step(bars.time, int(result.params.bar_seconds)))
    last = np.append(first[1:] - 1, len(bars.time) - 1)
    times = _milliseconds(bars.time[last] + int(result.params.bar_seconds))
    below = np.maximum.reduceat(drawdowns(result.equity, start), first)
    held = start * bars.close[last] / (bars.open[0] + bars.spread[0])
    hover = "%{y:$,.2f}<extra>%{fullData.name}</extra>"
    return {
        "data": [
            _line("Equity", times, _rounded(result.equity[last]), "var(--accent)", hovertemplate=hover),
            _line(
                "Buy and hold",
                times,
                _rounded(held),
                "var(--faint)",
                dash="dot",
                hovertemplate=hover,
                # A market that moved far more than the account would flatten the line that matters.
                visible=True if np.ptp(held) <= _HELD_SPAN * max(np.ptp(result.equity), 1e-9) else "legendonly",
            ),
            _line(
                "Drawdown",
                times,
                _rounded(-100.0 * below, 3),
                "var(--loss)",
                yaxis="y2",
                fill="tozeroy",
                fillcolor="var(--loss-soft)",
                hovertemplate="%{y:.2f} %<extra>Drawdown</extra>",
                showlegend=False,
            ),
        ],
        "layout": {
            "height": 460,
            "hovermode": "x unified",
            "xaxis": {"type": "date", "anchor": "y2"},
            "yaxis": {"domain": [0.32, 1.0], "tickprefix": "$", "tickformat": ",~f"},
            "yaxis2": {"domain": [0.0, 0.26], "ticksuffix": " %", "rangemode": "tozero", "nticks": 4},
            "shapes": [
                {
                    "type": "line",
                    "xref": "paper",
                    "x0": 0,
                    "x1": 1,
                    "y0": start,
                    "y1": start,
                    "line": {"color": "var(--faint)", "width": 1, "dash": "dash"},
                }
            ],
        },
    }


def _line(name: str, x: list[int], y: list[float], color: str, *, dash: str = "solid", **more: Any) -> Figure:
    line = {"color": color, "width": 1.5, "dash": dash}
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": line, **more}


def price_figure(result: BacktestResult) -> Figure:
    """Draw the price with every trade on it: the triangle shows the side, the colour the result."""
    bars, trades = result.bars, result.trades
    first = _buckets(bars.time, display_step(bars.time, int(result.params.bar_seconds)))
    last = np.append(first[1:] - 1, len(bars.time) - 1)
    ends = bars.time[last] + int(result.params.bar_seconds)
    middles = _milliseconds((bars.time[first] + ends) // 2)
    lows, highs = np.minimum.reduceat(bars.low, first), np.maximum.reduceat(bars.high, first)
    edge: dict[str, Any] = {"showlegend": False, "hoverinfo": "skip"}
    won = net_results(trades) > 0.0
    spans = [(7, "day", "1w"), (1, "month", "1m"), (3, "month", "3m")]
    buttons = [{"count": n, "step": step, "label": label, "stepmode": "backward"} for n, step, label in spans]
    return {
        "data": [
            _line("Low", middles, _rounded(lows), "transparent", **edge),
            _line("High", middles, _rounded(highs), "transparent", fill="tonexty", fillcolor="var(--range)", **edge),
            _line(
                "Close (bid)",
                _milliseconds(ends),
                _rounded(bars.close[last]),
                "var(--muted)",
                hovertemplate="%{y:$,.2f}<extra></extra>",
            ),
            _paths("Won", trades[won], "var(--gain)"),
            _paths("Lost", trades[~won], "var(--loss)"),
            _entries("Won", trades[won], "var(--gain)", len(trades)),
            _entries("Lost", trades[~won], "var(--loss)", len(trades)),
        ],
        "layout": {
            "height": 520,
            "hovermode": "closest",
            "margin": {"l": 64, "r": 12, "t": 64, "b": 36},
            "xaxis": {
                "type": "date",
                "rangeselector": {"buttons": [*buttons, {"step": "all"}], "x": 1, "xanchor": "right"},
            },
            "yaxis": {"tickprefix": "$", "tickformat": ",~f"},
        },
    }


def _paths(name: str, trades: npt.NDArray[Any], color: str) -> Figure:
    # One trace for all trades: the gap of None between two of them lifts the pen.
    x: list[int | None] = []
    y: list[float | None] = []
    columns = (
        _milliseconds(trades["entry_time"]),
        _rounded(trades["entry_price"]),
        _milliseconds(trades["exit_time"]),
        _rounded(trades["exit_price"]),
    )
    for entry_time, entry_price, exit_time, exit_price in zip(*columns, strict=True):
        x += [entry_time, exit_time, None]
        y += [entry_price, exit_price, None]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": y,
        "line": {"color": color, "width": 1.5},
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": name,
    }


def _entries(name: str, trades: npt.NDArray[Any], color: str, crowd: int) -> Figure:
    long = trades["side"] > 0
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{name} (triangle up: long, down: short)" if name == "Won" else name,
        "legendgroup": name,
        "x": _milliseconds(trades["entry_time"]),
        "y": _rounded(trades["entry_price"]),
        "customdata": _rounded(net_results(trades)),
        "text": np.where(long, "long", "short").tolist(),
        "marker": {
            "color": color,
            "size": 9 if crowd <= 300 else 6 if crowd <= 1500 else 4,
            "symbol": np.where(long, "triangle-up", "triangle-down").tolist(),
        },
        "hovertemplate": "%{x|%Y-%m-%d %H:%M} %{text} at %{y:$,.2f}<br>result %{customdata:$,.2f}<extra></extra>",
    }


def r_histogram(trades: npt.NDArray[Any]) -> Figure:
    """Draw how often trades ended at each multiple of their initial risk, in bars of a quarter R."""
    multiples = r_multiples(trades)
    known = np.clip(multiples[~np.isnan(multiples)], -R_LIMIT, R_LIMIT - 1e-9)
    edges = np.arange(-R_LIMIT, R_LIMIT + 0.25, 0.25)
    counts, _ = np.histogram(known, bins=edges)
    centres = edges[:-1] + 0.125
    return {
        "data": [
            {
                "type": "bar",
                "x": _rounded(centres, 3),
                "y": counts.tolist(),
                "width": 0.23,
                "marker": {"color": ["var(--loss)" if centre < 0 else "var(--gain)" for centre in centres]},
                "customdata": [f"{low:+.2f} to {low + 0.25:+.2f} R" for low in edges[:-1]],
                "hovertemplate": "%{customdata}: %{y} trades<extra></extra>",
            }
        ],
        "layout": {
            "height": 300,
            "showlegend": False,
            "xaxis": {"title": {"text": "result in R"}, "zeroline": True, "dtick": 1},
            "yaxis": {"title": {"text": "trades"}},
        },
    }


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


def band_strip(band: Band) -> str:
    """Draw the random runs' 5-95 % band with its median, and the strategy's own figure as a dot."""
    low, high = min(band.low, band.strategy), max(band.high, band.strategy)
    margin = 0.06 * (high - low) or 1.0
    low, high = low - margin, high + margin
    left, right, middle, dot = (_share(value, low, high) for value in (band.low, band.high, band.median, band.strategy))
    side = "gain" if band.strategy > band.high else "loss" if band.strategy < band.low else "inside"
    return (
        f'<div class="strip"><i style="left:{left:.1f}%;width:{right - left:.1f}%"></i>'
        f'<u style="left:{middle:.1f}%"></u><b class="{side}" style="left:{dot:.1f}%"></b></div>'
    )


def _share(value: float, low: float, high: float) -> float:
    return 100.0 * (value - low) / (high - low)
