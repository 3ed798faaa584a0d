"""How far trades went on their way."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from backtest.excursions import Excursions
from backtest.report.charts import Figure, known
from backtest.report.figure_formats import number
from backtest.report.section import Reported, Section, framed, note
from backtest.result import BacktestResult
from backtest.trade_results import r_multiples

ROW = 80
_SHOWN_R = 4.0
"""Excursions beyond this many R are drawn at the edge; single monsters would flatten all others."""


def section(told: Reported) -> Section:
    """Return how far trades went against and for their owner before they ended."""
    if not told.traded:
        return Section("")
    metrics = told.metrics
    text = (
        f"On the way trades stood {number(metrics.adverse_r_mean)} R against and {number(metrics.favourable_r_mean)} R "
        "for their owner at the most, on average: prices at which they could have been closed, the bar of the exit "
        "counted up to the exit price alone."
    )
    drawn = framed("On the way", f'<div id="way"></div>{note(text)}')
    return Section(drawn, {"way": excursion_figure(told.result, told.way)})


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
        "x": known(np.clip(way, -_SHOWN_R, _SHOWN_R)),
        "y": known(ended),
        "marker": {"color": colour, "size": 5, "opacity": 0.55},
        "hovertemplate": "%{x:+.2f} R on the way, ended at %{y:+.2f} R<extra></extra>",
    }
