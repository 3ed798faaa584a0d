"""Risk through time: drawdowns and the rolling Sharpe ratio."""

from __future__ import annotations

import numpy as np

from backtest.report.charts import Figure, known
from backtest.report.figure_formats import percent
from backtest.report.section import Reported, Section, cell, columns, day, framed, note, table
from backtest.report.summary import TOO_SHORT
from backtest.result import BacktestResult
from novosky.market.timeframe import DAY_SECONDS
from novosky.measures.statistics import MIN_DAYS, daily_returns, rolling_sharpe

ROW = 60


def section(told: Reported) -> Section:
    """Return the worst drawdowns, and the Sharpe ratio through time."""
    metrics, rolling = told.metrics, rolling_sharpe_figure(told.result)
    rows = [
        [
            cell(str(number)),
            cell(percent(drawdown.depth, 2)),
            cell(day(drawdown.peak)),
            cell(day(drawdown.trough)),
            cell("not yet" if drawdown.recovered is None else day(drawdown.recovered)),
            cell("" if drawdown.recovered is None else f"{(drawdown.recovered - drawdown.peak) / DAY_SECONDS:,.1f}"),
        ]
        for number, drawdown in enumerate(metrics.drawdowns, start=1)
    ]
    headers = ("", "depth", "from", "lowest", "recovered", "days")
    worst = table(headers, rows) if rows else note("Equity never closed below its highest close.")
    chart = '<div id="rolling"></div>' if rolling is not None else note(f"No rolling Sharpe ratio: {TOO_SHORT}.")
    left = f"<h3>Worst drawdowns at closes</h3>{worst}"
    return Section(
        framed("Risk through time", columns(left, f"<h3>Rolling Sharpe ratio</h3>{chart}")),
        {} if rolling is None else {"rolling": rolling},
    )


def rolling_sharpe_figure(result: BacktestResult) -> Figure | None:
    """Draw the yearly Sharpe ratio of the last 180 days, day by day; None for a shorter window."""
    times = result.bars.time
    ratios = rolling_sharpe(daily_returns(times, result.equity, result.start_balance))
    if len(ratios) < 2:
        return None
    last_days = (int(times[0]) // DAY_SECONDS + MIN_DAYS + np.arange(len(ratios))) * DAY_SECONDS
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines",
                "x": (last_days * 1000).tolist(),
                "y": known(ratios),
                "line": {"color": "var(--accent)", "width": 1.5},
                "hovertemplate": "%{x|%Y-%m-%d}: %{y:.2f}<extra></extra>",
            }
        ],
        "layout": {
            "height": 260,
            "showlegend": False,
            "xaxis": {"type": "date"},
            "yaxis": {"title": {"text": "Sharpe, 180 days"}, "zeroline": True},
        },
    }
