"""The news port: who tells the running bot what is scheduled, and how much that can be believed.

A calendar that is old or absent is a state, not an error: it is logged when it changes and
shown by the health report, and the bot goes on with what it knows.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Literal, Protocol

import numpy as np

from novosky.data.calendar.download import CACHE_NAME, Patience, WeekDownload
from novosky.data.calendar.forex_factory import Release
from novosky.data.calendar.store import append_week, read_weeks, with_week
from novosky.errors import DataError, StorageError
from novosky.market.news import NewsCalendar, all_day_rows, calendar_of, load_calendar
from novosky.persistence import replace_file
from novosky.settings.runtime import News

Freshness = Literal["fresh", "stale", "missing"]

HISTORY_NAME = "forexfactory_weeks.parquet"

__all__ = ["HISTORY_NAME", "CalendarState", "FileNews", "FixedNews", "LiveNews", "NewsSource"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CalendarState:
    """How much the calendar can be believed.

    Attributes
    ----------
    freshness : {"fresh", "stale", "missing"}
    age : float or None
        Seconds since its source last confirmed it; None when it never did.
    detail : str
        What is wrong, in words; empty when nothing is.
    over : bool
        What is known ends before now: nothing is known of the releases to come.
    """

    freshness: Freshness
    age: float | None = None
    detail: str = ""
    over: bool = False

    @property
    def known(self) -> bool:
        """Whether the schedule of now is known; `news.missing` says what follows where it is not."""
        return self.freshness != "missing" and not self.over

    def __str__(self) -> str:
        """Return e.g. "stale (2 days 3 h old): HTTP 503"."""
        age = "" if self.age is None or self.freshness == "missing" else f" ({_duration(self.age)} old)"
        return f"{self.freshness}{age}" + (f": {self.detail}" if self.detail else "")


class NewsSource(Protocol):
    """Gives the schedule of releases as known now. `now` is UTC epoch seconds."""

    def refresh(self, now: float) -> None:
        """Bring the schedule up to date if that is due.

        May read a file or ask a host, once and for a bounded time: call it between bars, never
        between a bar and its order. Whatever goes wrong outside is in `state`, not raised.
        """

    def calendar(self, now: float) -> NewsCalendar | None:
        """Return all releases known, past ones included, or None without any; touches no file and no network."""

    def state(self, now: float) -> CalendarState:
        """Return how much that can be believed."""

    def releases(self) -> tuple[Release, ...]:
        """Return the releases that count of the newest schedule, with their names; none where only times are known."""


class FixedNews:
    """A calendar that is known from the start and never changes: a replay's, a test's.

    Parameters
    ----------
    calendar : NewsCalendar
    """

    def __init__(self, calendar: NewsCalendar) -> None:
        self._calendar = calendar

    def refresh(self, now: float) -> None:
        """Do nothing."""

    def calendar(self, now: float) -> NewsCalendar | None:
        """Return the calendar."""
        return self._calendar

    def state(self, now: float) -> CalendarState:
        """Return fresh: nobody expects it to change."""
        return CalendarState("fresh", 0.0)

    def releases(self) -> tuple[Release, ...]:
        """Return nothing: these are times without names."""
        return ()


class FileNews:
    """A calendar from a Parquet file or folder, read again when it changes.

    Parameters
    ----------
    path : Path
        As for `novosky.market.news.load_calendar`.
    news : News
        What counts.

    Raises
    ------
    DataError
        At construction, when it cannot be read: whoever names a file means it.
    """

    def __init__(self, path: Path, news: News) -> None:
        self._path, self._news = path, news
        self._calendar = load_calendar(path, currencies=news.currencies, impacts=news.impacts)
        self._stamp = self._stamp_of()
        self._problem = ""
        self._said = _Said()

    def _stamp_of(self) -> tuple[tuple[str, int, int], ...]:
        files = sorted(self._path.glob("*.parquet")) if self._path.is_dir() else [self._path]
        found = [(file.name, file.stat()) for file in files]
        return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in found)

    def refresh(self, now: float) -> None:
        """Read the file again if it has changed; while it cannot be read the last one is kept."""
        try:
            stamp = self._stamp_of()
            if stamp != self._stamp:
                self._calendar = load_calendar(self._path, currencies=self._news.currencies, impacts=self._news.impacts)
                self._stamp = stamp
            self._problem = ""
        except (OSError, DataError) as error:
            self._problem = str(error)
        self._said.log(self.state(now))

    def calendar(self, now: float) -> NewsCalendar | None:
        """Return the file's calendar."""
        return self._calendar

    def state(self, now: float) -> CalendarState:
        """Stale once its last release is past: a file says nothing of what comes after it."""
        age = max(0.0, now - float(self._calendar.event_times[-1]))
        if self._problem:
            return CalendarState("stale", age, self._problem, over=age > 0)
        if age > 0:
            return CalendarState("stale", age, f"{self._path} ends with the past", over=True)
        return CalendarState("fresh", 0.0)

    def releases(self) -> tuple[Release, ...]:
        """Return nothing: of a file only the times are kept."""
        return ()


class LiveNews:
    """The Forex Factory week, over whatever history is at hand.

    Every fetched week also goes into a Parquet file, so that yesterday's releases stay known
    when the week turns, and backtests find them later.

    Parameters
    ----------
    folder : Path
        Holds the cached response and `forexfactory_weeks.parquet`.
    news : News
        What counts, and the host.
    rng : random.Random
        Spreads repeated requests.
    history : Path or None
        A further calendar of the past.
    timeout : float
        Seconds a request may take.

    Raises
    ------
    DataError
        `history` was named and cannot be read.
    """

    def __init__(
        self, folder: Path, news: News, rng: Random, *, history: Path | None = None, timeout: float = 10.0
    ) -> None:
        self._news = news
        self._weeks = folder / HISTORY_NAME
        patience = Patience(interval=news.refresh_minutes * 60.0, timeout=timeout)
        self._download = WeekDownload(news.base_url, folder / CACHE_NAME, patience, rng)
        if self._download.damage:
            _log.warning("%s", self._download.damage)
        past = None if history is None else load_calendar(history, currencies=news.currencies, impacts=news.impacts)
        self._past = NewsCalendar.from_times(np.empty(0, dtype=np.int64)) if past is None else past
        self._said, self._unwritten = _Said(), _Unwritten()
        self._not_kept = ""
        if self._download.week is not None:
            # The process may have died between fetching this week and keeping it.
            self._keep_week()
        self._calendar = self._join()

    def refresh(self, now: float) -> None:
        """Ask the host if that is due; what cannot be kept on the disk is said once and known all the same."""
        if self._download.ask(now):
            self._keep_week()
            self._calendar = self._join()
            week = self._download.week
            for problem in () if week is None else week.problems:
                _log.warning("the news calendar has a row that cannot be read: %s", problem)
        self._unwritten.log(self._download.unwritten or self._not_kept)
        self._said.log(self.state(now))

    def calendar(self, now: float) -> NewsCalendar | None:
        """Return history, earlier weeks and this week as one calendar, or None without any release."""
        return self._calendar if len(self._calendar.event_times) else None

    def state(self, now: float) -> CalendarState:
        """Fresh while the host has confirmed the week that `now` lies in not too long ago."""
        return _state_of(self._download, self._news, now, earlier=bool(len(self._calendar.event_times)))

    def releases(self) -> tuple[Release, ...]:
        """Return this week's releases that count; those without a real time are left out, as in `calendar`."""
        week = self._download.week
        if week is None:
            return ()
        timed = ~all_day_rows(week.table())
        return tuple(each for each, known in zip(week.releases, timed, strict=True) if known and self._counts(each))

    def _counts(self, release: Release) -> bool:
        return release.currency in self._news.currencies and release.impact.lower().startswith(self._news.impacts)

    def _keep_week(self) -> None:
        assert self._download.week is not None, "called only with a week at hand"
        try:
            try:
                append_week(self._weeks, self._download.week)
            except DataError as error:
                # Set aside rather than overwritten: it may be all there is of earlier weeks.
                aside = self._weeks.with_suffix(".damaged")
                _log.warning("%s; it is kept as %s and begun anew", error, aside.name)
                replace_file(self._weeks, aside)
                append_week(self._weeks, self._download.week)
            self._not_kept = ""
        except (StorageError, OSError) as error:
            # The next week's fetch tries again; this one's releases are known from memory.
            self._not_kept = str(error)

    def _join(self) -> NewsCalendar:
        try:
            table = read_weeks(self._weeks)
        except DataError as error:
            _log.warning("earlier weeks are not known: %s", error)
            table = None
        if self._download.week is not None:
            table = with_week(table, self._download.week)
        if table is None:
            return self._past
        # Unlike in a file someone named, there may be no release that counts.
        weeks = calendar_of(table, currencies=self._news.currencies, impacts=self._news.impacts)
        times = np.concatenate((self._past.event_times, weeks.event_times))
        return NewsCalendar.from_times(times, placeholders=self._past.placeholders + weeks.placeholders)


class _Unwritten:
    """Logs why the calendar's files are behind, once until they are not."""

    def __init__(self) -> None:
        self._last = ""

    def log(self, problem: str) -> None:
        if problem and not self._last:
            _log.warning("%s; the releases are known all the same", problem)
        self._last = problem


def stored_state(folder: Path, news: News, now: float) -> CalendarState:
    """Return how much the calendar kept in a folder can be believed; nothing is asked or written."""
    download = WeekDownload(news.base_url, folder / CACHE_NAME, Patience(), Random(0))
    state = _state_of(download, news, now, earlier=(folder / HISTORY_NAME).exists())
    return replace(state, detail=download.damage) if download.damage else state


def _state_of(download: WeekDownload, news: News, now: float, *, earlier: bool) -> CalendarState:
    week, cached = download.week, download.state
    means = "; no position is opened (news.missing)" if news.missing == "block" else ""
    if week is None:
        known = "releases of earlier weeks only" if earlier else "no releases are known"
        return CalendarState("missing", None, "; ".join(filter(None, (known, cached.failure))) + means)
    age = max(0.0, now - cached.confirmed_at)
    broken = f"{len(week.problems)} row(s) cannot be read, {week.problems[0]}" if week.problems else ""
    over = "" if now < week.end else f"its week is over{means}"
    detail = "; ".join(filter(None, (over, cached.failure, broken)))
    stale = over or age > news.stale_after_hours * 3600.0
    return CalendarState("stale" if stale else "fresh", age, detail, over=bool(over))


class _Said:
    """Logs a state when it is another than the last one logged."""

    def __init__(self) -> None:
        self._last: tuple[str, str] | None = None

    def log(self, state: CalendarState) -> None:
        if (state.freshness, state.detail) == self._last:
            return
        self._last = (state.freshness, state.detail)
        _log.log(logging.INFO if state.freshness == "fresh" else logging.WARNING, "the news calendar is %s", state)


def _duration(seconds: float) -> str:
    minutes = int(seconds // 60)
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} day{'s' if days > 1 else ''} {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
