"""Pictures of risk: the Sharpe ratio through time, and how far trades went on their way."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from backtest.excursions import Excursions
from backtest.metrics import r_multiples
from backtest.report.charts import Figure
from backtest.result import BacktestResult
from novosky.measures.statistics import DAY, MIN_DAYS, daily_returns, rolling_sharpe

_SHOWN_R = 4.0
"""Excursions beyond this many R are drawn at the edge; single monsters would flatten all others."""


def rolling_sharpe_figure(result: BacktestResult) -> Figure | None:
    """Draw the yearly Sharpe ratio of the last 180 days, day by day; None for a shorter window."""
    times = result.bars.time
    ratios = rolling_sharpe(daily_returns(times, result.equity, result.start_balance))
    if len(ratios) < 2:
        return None
    last_days = (int(times[0]) // DAY + MIN_DAYS + np.arange(len(ratios))) * DAY
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines",
                "x": (last_days * 1000).tolist(),
                "y": _known(ratios),
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


def excursion_figure(result: BacktestResult, way: Excursions) -> Figure:
    """Draw each trade's worst and best point on the way against what it ended with, in R."""
    ended = np.clip(r_multiples(result.trades), -_SHOWN_R, _SHOWN_R)
    return {
        "data": [
            _dots("went against (MAE)", -way.adverse, ended, "var(--loss)"),
            _dots("went for (MFE)", way.favourable, ended, "var(--gain)"),
        ],
        "layout": {
            "height": 320,
            "xaxis": {"title": {"text": "worst and best point on the way, R"}, "zeroline": True},
            "yaxis": {"title": {"text": "result, R"}, "zeroline": True},
        },
    }


def _dots(name: str, way: npt.NDArray[Any], ended: npt.NDArray[Any], colour: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": _known(np.clip(way, -_SHOWN_R, _SHOWN_R)),
        "y": _known(ended),
        "marker": {"color": colour, "size": 5, "opacity": 0.55},
        "hovertemplate": "%{x:+.2f} R on the way, ended at %{y:+.2f} R<extra></extra>",
    }


def _known(values: npt.NDArray[Any]) -> list[float | None]:
    # JSON has no NaN; a gap is drawn where the value is unknown.
    return [None if np.isnan(value) else round(float(value), 3) for value in values]
