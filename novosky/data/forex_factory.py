"""The Forex Factory weekly export: what one response holds, row by row, in UTC.

The export is a JSON array of objects with `title, country, date, impact, forecast, previous`;
`date` is ISO 8601 with the offset of New York, `country` a currency or "All". A week runs
from Sunday to Saturday in New York.
"""

from __future__ import annotations

import html
import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from novosky.errors import DataError

WEEK_FILE = "ff_calendar_thisweek.json"
COLUMNS = ("time", "currency", "impact", "event", "forecast", "previous")
IMPACTS = ("High", "Medium", "Low", "Holiday", "Non-Economic")
MOST_BROKEN = 0.2
"""Share of broken rows beyond which the format itself has changed and nothing of it is believed."""

_NEW_YORK = ZoneInfo("America/New_York")
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Release:
    """One scheduled release.

    Attributes
    ----------
    time : int
        UTC epoch seconds.
    currency : str
        Three capital letters, or "All".
    impact : str
        One of `IMPACTS`.
    event, forecast, previous : str
        As published; the numbers are text with units, empty when there are none.
    """

    time: int
    currency: str
    impact: str
    event: str
    forecast: str
    previous: str


@dataclass(frozen=True)
class Week:
    """One export.

    Attributes
    ----------
    releases : tuple of Release
        In order of time.
    problems : tuple of str
        One sentence for each row that could not be read.
    start, end : int
        The New York week or weeks the releases lie in, UTC epoch seconds, end exclusive.
    """

    releases: tuple[Release, ...]
    problems: tuple[str, ...]
    start: int
    end: int

    def table(self) -> pd.DataFrame:
        """Return the releases in the columns of a stored calendar."""
        frame = pd.DataFrame([[getattr(each, name) for name in COLUMNS] for each in self.releases], columns=COLUMNS)
        frame["time"] = pd.to_datetime(frame["time"], unit="s", utc=True).astype("datetime64[ns, UTC]")
        return frame


def parse_week(body: bytes) -> Week:
    """Read one export.

    Raises
    ------
    DataError
        When it is not JSON, no array of rows, empty, spans more than one week, or so many of
        its rows are broken that the format must have changed.
    """
    try:
        rows = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON ({_short(error)}): it begins with {body[:60]!r}") from error
    if not isinstance(rows, list) or not rows:
        raise DataError(f"not a list of releases: {reprlib.repr(rows)}")
    releases, problems = [], []
    for number, row in enumerate(rows, start=1):
        try:
            releases.append(_release(row))
        except ValueError as error:
            problems.append(f"row {number}: {error}")
    if len(problems) > MOST_BROKEN * len(rows):
        raise DataError(f"{len(problems)} of {len(rows)} rows cannot be read, the first is {problems[0]}")
    releases.sort(key=lambda release: (release.time, release.currency, release.event))
    start, end = _sunday(releases[0].time, 0), _sunday(releases[-1].time, 7)
    # Compared as days: the week of the clock change has an hour more or less.
    if round((end - start) / 86_400) > 7:
        raise DataError("its releases span more than one week, from Sunday to Saturday in New York")
    return Week(tuple(releases), tuple(problems), start, end)


def _release(row: Any) -> Release:
    if not isinstance(row, Mapping):
        raise ValueError(f"{reprlib.repr(row)} is no release")
    title, currency = _text(row, "title"), _text(row, "country")
    if currency.lower() == "all":
        currency = "All"
    elif not (len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()):
        raise ValueError(f"{reprlib.repr(title)} has the country {reprlib.repr(currency)}, which is no currency")
    impact = _text(row, "impact")
    if impact not in IMPACTS:
        raise ValueError(f"{reprlib.repr(title)} has the unknown impact {reprlib.repr(impact)}")
    time = _moment(title, _text(row, "date"))
    return Release(time, currency, impact, title, _text(row, "forecast", ""), _text(row, "previous", ""))


def _text(row: Mapping[str, Any], key: str, absent: str | None = None) -> str:
    value = row.get(key, absent)
    if value is None and absent is not None:
        return absent
    if not isinstance(value, str) or (absent is None and not value.strip()):
        raise ValueError(f"{key} is {reprlib.repr(value)} in {reprlib.repr(dict(row))}")
    return html.unescape(value).strip()


def _moment(title: str, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{reprlib.repr(title)} has the date {reprlib.repr(text)}, which cannot be read") from None
    if moment.tzinfo is None:
        raise ValueError(f"{reprlib.repr(title)} has the date {reprlib.repr(text)} without an offset from UTC")
    if not _EARLIEST <= moment < _LATEST:
        raise ValueError(f"{reprlib.repr(title)} has the date {reprlib.repr(text)}, which is out of this century")
    return int(moment.timestamp())


def _sunday(time: int, days: int) -> int:
    """Return the New York midnight that begins the week of `time`, or `days` days later."""
    local = datetime.fromtimestamp(time, tz=_NEW_YORK)
    back = (local.weekday() + 1) % 7
    midnight = datetime(local.year, local.month, local.day, tzinfo=_NEW_YORK)
    # Arithmetic on aware datetimes of one zone is on the wall clock, which is what a week means.
    return int((midnight + timedelta(days=days - back)).timestamp())


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:80]}"
