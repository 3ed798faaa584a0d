"""The price and the trades on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from backtest.report.charts import Figure, buckets, density, display_step, line, milliseconds, rounded
from backtest.report.section import Reported, Section, framed, note
from backtest.result import BacktestResult
from backtest.trade_results import net_results

ROW = 40


def section(told: Reported) -> Section:
    """Return the price with every trade on it."""
    text = (
        f"Bid price, drawn {density(told.result)} with its range; trades at their own times and prices. Drag to zoom "
        "into days and single trades, double-click to see everything again."
    )
    drawn = framed("Price and trades", f'<div id="price"></div>{note(text)}')
    return Section(drawn, {"price": price_figure(told.result)})


def price_figure(result: BacktestResult) -> Figure:
    """Draw the price with every trade on it: the triangle shows the side, the colour the result."""
    bars, trades = result.bars, result.trades
    first = buckets(bars.time, display_step(bars.time, int(result.params.bar_seconds)))
    last = np.append(first[1:] - 1, len(bars.time) - 1)
    ends = bars.time[last] + int(result.params.bar_seconds)
    middles = milliseconds((bars.time[first] + ends) // 2)
    lows, highs = np.minimum.reduceat(bars.low, first), np.maximum.reduceat(bars.high, first)
    edge: dict[str, Any] = {"showlegend": False, "hoverinfo": "skip"}
    won = net_results(trades) > 0.0
    spans = [(7, "day", "1w"), (1, "month", "1m"), (3, "month", "3m")]
    buttons = [{"count": n, "step": step, "label": label, "stepmode": "backward"} for n, step, label in spans]
    return {
        "data": [
            line("Low", middles, rounded(lows), "transparent", **edge),
            line("High", middles, rounded(highs), "transparent", fill="tonexty", fillcolor="var(--range)", **edge),
            line(
                "Close (bid)",
                milliseconds(ends),
                rounded(bars.close[last]),
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
        milliseconds(trades["entry_time"]),
        rounded(trades["entry_price"]),
        milliseconds(trades["exit_time"]),
        rounded(trades["exit_price"]),
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
        "x": milliseconds(trades["entry_time"]),
        "y": rounded(trades["entry_price"]),
        "customdata": rounded(net_results(trades)),
        "text": np.where(long, "long", "short").tolist(),
        "marker": {
            "color": color,
            "size": 9 if crowd <= 300 else 6 if crowd <= 1500 else 4,
            "symbol": np.where(long, "triangle-up", "triangle-down").tolist(),
        },
        "hovertemplate": "%{x|%Y-%m-%d %H:%M} %{text} at %{y:$,.2f}<br>result %{customdata:$,.2f}<extra></extra>",
    }
