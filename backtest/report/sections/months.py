"""Monthly returns."""

from __future__ import annotations

import numpy as np

from backtest.report.figure_formats import signed_percent
from backtest.report.section import Reported, Section, cell, framed, table
from novosky.measures.groups import monthly_returns

ROW = 50
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def section(told: Reported) -> Section:
    """Return the return of every month, coloured by its size."""
    result = told.result
    changes = monthly_returns(result.bars.time, result.equity, result.start_balance)
    largest = max((abs(change) for _, _, change in changes), default=0.0)
    rows = []
    for year in sorted({year for year, _, _ in changes}):
        by_month = {month: change for that, month, change in changes if that == year}
        total = float(np.prod([1.0 + change for change in by_month.values()])) - 1.0
        cells = [_month_cell(by_month.get(month), largest) for month in range(1, 13)]
        rows.append([cell(str(year)), *cells, f"<td><b>{signed_percent(total)}</b></td>"])
    return Section(framed("Monthly returns", table(("", *MONTHS, "Year"), rows, kind="months")))


def _month_cell(change: float | None, largest: float) -> str:
    if change is None:
        return "<td></td>"
    color = "gain" if change >= 0 else "loss"
    strength = 12 + 48 * abs(change) / largest if change and largest else 0
    return (
        f'<td style="background:color-mix(in srgb,var(--{color}) {strength:.0f}%,transparent)">'
        f"{100 * change + 0.0:+.1f}</td>"
    )
