"""The daily report's content: what the journal knows of yesterday."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from alerts.daily_report import DAY_SECONDS, DailyReport, daily_message, day_of, report_key
from engine.records import Trade, from_text
from trading.journal import Journal
from trading.reports.view import LiveView

CHART_DAYS = 30

DayNotes = Callable[[Journal, Callable[[int], pd.DataFrame], int], Sequence[str]]
"""Says more of a day: takes the journal, the newest so many closed bars, and the day's midnight (UTC epoch seconds)."""


class DailyReporter:
    """Queues one report per UTC day, after its end.

    Parameters
    ----------
    journal : Journal
    view : LiveView
    folder : Path
        Where the pictures go.
    """

    def __init__(self, journal: Journal, view: LiveView, folder: Path) -> None:
        self._journal, self._view, self._folder = journal, view, folder
        self._done = 0

    def report(self, now: float, notes: Callable[[int], Sequence[str]]) -> bool:
        """Queue the report of the last full day unless that was done, and tell whether it was now.

        A day before the bot's first bar has none.

        Parameters
        ----------
        now : float
            UTC epoch seconds.
        notes : callable
            Returns what else there is to say of a day, given its midnight; asked only for a report.
        """
        day = day_of(now)
        if day == self._done:
            return False
        self._done = day
        if self._journal.outbox.message(report_key(day)) is not None:
            return False
        equity = [
            each
            for each in self._journal.account_snapshots(day - CHART_DAYS * DAY_SECONDS)
            if each.time <= day + DAY_SECONDS
        ]
        if not equity:
            return False
        trades = [
            self._view.trade(content)
            for content in self._journal.trades()
            if day <= from_text(Trade, content).exit_time < day + DAY_SECONDS
        ]
        self._journal.outbox.enqueue(daily_message(DailyReport(day, trades, equity, notes(day)), self._folder, now))
        return True
