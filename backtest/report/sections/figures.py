"""All figures."""

from __future__ import annotations

from backtest.report.section import Reported, Section, columns, framed, pairs
from backtest.report.summary import account_rows, performance_rows

ROW = 110


def section(told: Reported) -> Section:
    """Return every figure of the backtest and of the account."""
    both = columns(pairs(performance_rows(told.metrics)), pairs(account_rows(told.metrics)))
    return Section(framed("All figures", both))
