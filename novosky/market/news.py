"""Times of scheduled high-impact news; what came out is never known here.

Times of releases are published weeks ahead, so looking forward in the schedule is no
look-ahead. What was released (`actual`) is not read at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from novosky.errors import DataError
from novosky.market.timeframe import DAY_SECONDS

MINUTES_PER_DAY = 1_440

_NEW_YORK = "America/New_York"
_CURRENCY_OF_COUNTRY = {"US": "USD", "EA": "EUR", "Eurozone": "EUR", "UK": "GBP", "CH": "CHF"}


@dataclass(frozen=True, eq=False)
class NewsCalendar:
    """Moments of scheduled high-impact releases.

    Attributes
    ----------
    event_times : ndarray of int64, shape (m,)
        Seconds since 1970-01-01 UTC, strictly rising (simultaneous releases are one event).
    placeholders : int
        Rows left out on load because they carry no real time (all-day or tentative).
    """

    event_times: npt.NDArray[np.int64]
    placeholders: int = 0

    @classmethod
    def from_times(cls, times: npt.NDArray[np.int64], *, placeholders: int = 0) -> NewsCalendar:
        """Build a calendar from event times in any order, in seconds since 1970-01-01 UTC."""
        ordered = np.unique(np.asarray(times, dtype=np.int64))
        ordered.setflags(write=False)
        return cls(ordered, placeholders)

    def minutes_to_next(self, times: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return minutes until the next event, 0 at one, inf when none within a day, shape (n,)."""
        return self._distances(times, np.searchsorted(self.event_times, times, side="left"), 1.0)

    def minutes_since_last(self, times: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return minutes since the latest event, 0 at one, inf when none within a day, shape (n,)."""
        return self._distances(times, np.searchsorted(self.event_times, times, side="right") - 1, -1.0)

    def minutes_to_nearest(self, times: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return minutes to the nearest event on either side, shape (n,).

        Parameters
        ----------
        times : ndarray of int64, shape (n,)
            Seconds since 1970-01-01 UTC.

        Returns
        -------
        ndarray of float64, shape (n,)
            Never negative; inf where no event lies within a day before or after.
        """
        return np.minimum(self.minutes_to_next(times), self.minutes_since_last(times))

    def count_on_day(self, times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return how many events are scheduled on each moment's UTC day, shape (n,)."""
        midnight = times - times % DAY_SECONDS
        until = np.searchsorted(self.event_times, midnight + DAY_SECONDS, side="left")
        return np.asarray(until - np.searchsorted(self.event_times, midnight, side="left"), dtype=np.int64)

    def _distances(
        self, times: npt.NDArray[np.int64], index: npt.NDArray[np.intp], sign: float
    ) -> npt.NDArray[np.float64]:
        minutes = np.full(times.shape, np.inf)
        there = (index >= 0) & (index < len(self.event_times))
        minutes[there] = sign * (self.event_times[index[there]] - times[there]) / 60.0
        minutes[minutes > MINUTES_PER_DAY] = np.inf
        return minutes


def load_calendar(
    path: Path, *, currencies: tuple[str, ...] = ("USD",), impacts: tuple[str, ...] = ("high",)
) -> NewsCalendar:
    """Read the scheduled high-impact events of some currencies from Parquet.

    Parameters
    ----------
    path : Path
        A Parquet file with `time` (UTC), `impact` and either `currency` or `country`; or a
        folder, of which all such files are joined.
    currencies : tuple of str
        Whose releases to keep, e.g. ``("USD", "EUR")``.
    impacts : tuple of str
        How weighty a release must be to count, in lower case: what its `impact` begins with.

    Returns
    -------
    NewsCalendar
        Rows of all-day or tentative events are left out and counted, see `all_day_rows`.

    Raises
    ------
    DataError
        When the file is missing, is no calendar, has naive times, or holds no such event.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    times = np.empty(0, dtype=np.int64)
    placeholders = 0
    for file in files:
        found = calendar_of(read_table(file), currencies=currencies, impacts=impacts)
        placeholders += found.placeholders
        times = np.concatenate((times, found.event_times))
    if len(times) == 0:
        weight = "/".join(impacts)
        raise DataError(f"{path}: no {weight}-impact {'/'.join(currencies)} event; give another calendar or currency")
    return NewsCalendar.from_times(times, placeholders=placeholders)


def calendar_of(table: pd.DataFrame, *, currencies: tuple[str, ...], impacts: tuple[str, ...]) -> NewsCalendar:
    """Return the events of a calendar table that count, without those that carry no real time.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns `time` (UTC), `impact` and either `currency` or `country`.
    currencies, impacts : tuples of str
        As for `load_calendar`.
    """
    if "currency" in table.columns:
        owner = table["currency"].astype(str)
    else:
        owner = table["country"].astype(str).map(_CURRENCY_OF_COUNTRY)
    wanted = table["impact"].astype(str).str.lower().str.startswith(impacts) & owner.isin(currencies)
    counting = table.loc[wanted]
    stamps = counting["time"].dt.tz_convert("UTC").astype("datetime64[ns, UTC]").astype("int64")
    times = np.asarray(stamps // 10**9, dtype=np.int64)
    tentative = all_day_rows(counting)
    return NewsCalendar.from_times(times[~tentative], placeholders=int(tentative.sum()))


def all_day_rows(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Tell which rows of a calendar table are all-day or tentative: scheduled for a day, released at no known time.

    Sources write them at hh:59:59, or at the midnight of New York without any number to be
    released. The rule is the same for a fetched week and for stored history.
    """
    stamps = table["time"].dt.tz_convert("UTC").astype("datetime64[ns, UTC]").astype("int64")
    found = np.asarray(is_placeholder(np.asarray(stamps // 10**9, dtype=np.int64)), dtype=np.bool_)
    if {"forecast", "previous"} <= set(table.columns):
        local = table["time"].dt.tz_convert(_NEW_YORK)
        blank = [table[name].fillna("").astype(str).str.strip() == "" for name in ("forecast", "previous")]
        found |= (local.dt.strftime("%H:%M:%S") == "00:00:00").to_numpy() & blank[0].to_numpy() & blank[1].to_numpy()
    return found


def is_placeholder(time: Any) -> Any:
    """Tell whether a stamp, or each of an array, is the last second of an hour, which no release has; epoch seconds."""
    return time % 3600 == 3599


def read_table(file: Path) -> pd.DataFrame:
    """Read a calendar file and check its columns; raises `DataError` like `load_calendar`."""
    if not file.is_file():
        raise DataError(f"{file}: no such calendar; download it or give the right --calendar path")
    try:
        table = pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: not a readable Parquet file ({error}); download the calendar again") from error
    needed = {"time", "impact"} - set(table.columns)
    if needed or not {"currency", "country"} & set(table.columns):
        raise DataError(f"{file}: not a calendar; it needs the columns time, impact and currency or country")
    if not isinstance(table["time"].dtype, pd.DatetimeTZDtype):
        raise DataError(f"{file}: column time has no time zone; calendar times must be UTC")
    return table
