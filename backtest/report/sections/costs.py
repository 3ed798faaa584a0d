"""Costs and assumptions."""

from __future__ import annotations

from backtest.report.charts import bar_list
from backtest.report.figure_formats import dollars
from backtest.report.section import Reported, Section, columns, framed, note, pairs
from backtest.report.summary import assumption_rows, cost_rows

ROW = 100


def section(told: Reported) -> Section:
    """Return what was paid, and what was assumed."""
    metrics = told.metrics
    paid = (metrics.cost_spread, metrics.cost_commission, metrics.cost_swap, metrics.cost_slippage)
    bars = bar_list([(name, cost, text) for (name, text), cost in zip(cost_rows(metrics), paid, strict=True)])
    total = f"{dollars(sum(paid))} in all by closed trades. Every result on this page has them taken off."
    split = f"<h3>Paid</h3>{bars}{note(total)}"
    assumed = f"<h3>Assumed</h3>{pairs([*assumption_rows(metrics), *told.details.items()])}"
    return Section(framed("Costs and assumptions", columns(split, assumed)))
