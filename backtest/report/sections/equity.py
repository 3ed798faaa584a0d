"""Equity and drawdown."""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest.report.charts import Figure, buckets, density, display_step, line, milliseconds, rounded
from backtest.report.section import Reported, Section, framed, note
from backtest.result import BacktestResult
from novosky.measures.statistics import drawdowns

ROW = 20
HELD_SPAN = 3.0
"""Buy and hold is drawn from the start unless it spans so many times what equity does."""


def section(told: Reported) -> Section:
    """Return floating equity with buy and hold, and the drawdown below it."""
    text = (
        f"Floating equity, drawn {density(told.result)}; the dashed line is the starting balance. The drawdown "
        "is drawn at closes, the figure above is measured at the worst price of each bar. Click a name to "
        "show or hide its line."
    )
    drawn = framed("Equity and drawdown", f'<div id="equity"></div>{note(text)}')
    return Section(drawn, {"equity": equity_figure(told.result)})


def equity_figure(result: BacktestResult) -> Figure:
    """Draw floating equity at closes, buy and hold of the same balance, and the drawdown below."""
    bars, start = result.bars, result.start_balance
    first = buckets(bars.time, display_step(bars.time, int(result.params.bar_seconds)))
    last = np.append(first[1:] - 1, len(bars.time) - 1)
    times = milliseconds(bars.time[last] + int(result.params.bar_seconds))
    below = np.maximum.reduceat(drawdowns(result.equity, start), first)
    held = start * bars.close[last] / (bars.open[0] + bars.spread[0])
    hover = "%{y:$,.2f}<extra>%{fullData.name}</extra>"
    return {
        "data": [
            line("Equity", times, rounded(result.equity[last]), "var(--accent)", hovertemplate=hover),
            line(
                "Buy and hold",
                times,
                rounded(held),
                "var(--faint)",
                dash="dot",
                hovertemplate=hover,
                # A market that moved far more than the account would flatten the line that matters.
                visible=True if np.ptp(held) <= HELD_SPAN * max(np.ptp(result.equity), 1e-9) else "legendonly",
            ),
            line(
                "Drawdown",
                times,
                rounded(-100.0 * below, 3),
                "var(--loss)",
                yaxis="y2",
                fill="tozeroy",
                fillcolor="var(--loss-soft)",
                hovertemplate="%{y:.2f} %<extra>Drawdown</extra>",
                showlegend=False,
            ),
        ],
        "layout": _layout(start),
    }


def _layout(start: float) -> dict[str, Any]:
    """Return two panels over one time axis, and a line at the balance the account began with, USD."""
    return {
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
    }
