"""How trades ended, and what was blocked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from backtest.report.charts import Figure, bar_list, rounded
from backtest.report.section import Reported, Section, columns, framed, note
from backtest.report.summary import block_rows, exit_rows
from backtest.trade_results import r_multiples

ROW = 70
R_LIMIT = 3.0
"""The histogram gathers results beyond this many R in its outermost bars."""


def section(told: Reported) -> Section:
    """Return how trades ended and which gates blocked candidates."""
    metrics = told.metrics
    exits = [(name, float(count), f"{count:,}") for name, count in exit_rows(metrics)]
    blocks = [(name, float(count), f"{count:,}") for name, count in block_rows(metrics)]
    histogram = '<h3>Results in R</h3><div id="histogram"></div>' if told.traded else note("No trade was closed.")
    bars = f"<h3>Exits</h3>{bar_list(exits)}" if exits else ""
    blocked = f"{metrics.blocked:,} of {metrics.candidates:,} candidates blocked, each by the first gate it failed."
    bars += f'<h3 style="margin-top:18px">Blocks by gate</h3>{bar_list(blocks)}{note(blocked)}'
    figures = {"histogram": r_histogram(told.result.trades)} if told.traded else {}
    return Section(framed("Outcomes", columns(histogram, bars)), figures)


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
                "x": rounded(centres, 3),
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
