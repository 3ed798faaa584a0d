"""Results by time of entry."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from backtest.report.figure_formats import dollars, number, percent
from backtest.report.section import Reported, Section, cell, columns, framed, note, table
from backtest.trade_results import net_results, r_multiples
from novosky.market.sessions import SESSIONS, session_mask
from novosky.market.timeframe import DAY_SECONDS
from novosky.measures.groups import GroupResult, group_result, results_by

ROW = 90
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_THURSDAY = 3
"""Weekday of 1970-01-01, Monday being 0."""


def section(told: Reported) -> Section:
    """Return results by hour, weekday and session of the entry."""
    if not told.traded:
        return Section("")
    result = told.result
    entries = result.trades["entry_time"].astype(np.int64)
    net, multiples = net_results(result.trades), r_multiples(result.trades)
    hours = results_by(entries % DAY_SECONDS // 3600, [f"{hour:02d}:00" for hour in range(24)], net, multiples)
    weekdays = results_by((entries // DAY_SECONDS + _THURSDAY) % 7, WEEKDAYS, net, multiples)
    mask = session_mask(entries)
    sessions = [
        group_result(session.name.replace("_", " ").title(), net[chosen], multiples[chosen])
        for session in SESSIONS
        for chosen in [(mask & session.bit) != 0]
    ]
    sessions.append(group_result("None", net[mask == 0], multiples[mask == 0]))
    right = (
        f"<h3>Weekday (UTC)</h3>{_group_table(weekdays)}"
        f'<h3 style="margin-top:22px">Session</h3>{_group_table(sessions)}'
        + note("Sessions overlap: a trade counts in every session open at its entry.")
    )
    return Section(framed("Results by time of entry", columns(f"<h3>Hour (UTC)</h3>{_group_table(hours)}", right)))


def _group_table(groups: Sequence[GroupResult]) -> str:
    rows = [
        [
            cell(group.name),
            cell(f"{group.trades:,}"),
            cell(percent(group.win_rate) if group.trades else ""),
            cell(_group_factor(group.profit_factor) if group.trades else ""),
            cell(number(group.expectancy_r, 3) if group.trades else "", group.expectancy_r),
            cell(dollars(group.net) if group.trades else "", group.net),
        ]
        for group in groups
    ]
    return table(("", "trades", "win rate", "PF", "R", "net"), rows)


def _group_factor(factor: float | None) -> str:
    return "\N{INFINITY}" if factor == math.inf else number(factor)
