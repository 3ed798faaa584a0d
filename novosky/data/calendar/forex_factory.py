"""The Forex Factory weekly export: what one response holds, row by row, in UTC.

The export is a JSON array of objects with `title, country, date, impact, forecast, previous`;
`date` is ISO 8601 with the offset of New York, `country` a currency or "All". A week runs
from Sunday to Saturday in New York.
"""

from __future__ import annotations

import html
import re
import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from novosky.errors import DataError
from novosky.guarded_json import JsonError, array_items, parse_json
from novosky.remote_text import clean_text

WEEK_FILE = "ff_calendar_thisweek.json"
COLUMNS = ("time", "currency", "impact", "event", "forecast", "previous")
IMPACTS = ("High", "Medium", "Low", "Holiday", "Non-Economic")
MOST_BROKEN = 0.5
"""Share of broken rows beyond which the format itself has changed and nothing of it is believed."""
LARGEST_EXPORT = 4 * 1024 * 1024
"""Bytes; a week is about 20 kB."""
_LONGEST_WORDS = 300

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
        The New York week the releases lie in, UTC epoch seconds, end exclusive.
    all_day : int
        Rows that tell a day without a time: they are no releases.
    """

    releases: tuple[Release, ...]
    problems: tuple[str, ...]
    start: int
    end: int
    all_day: int = 0

    def table(self) -> pd.DataFrame:
        """Return the releases in the columns of a stored calendar."""
        frame = pd.DataFrame([[getattr(each, name) for name in COLUMNS] for each in self.releases], columns=COLUMNS)
        frame["time"] = pd.to_datetime(frame["time"], unit="s", utc=True).astype("datetime64[ns, UTC]")
        return frame


def parse_week(body: bytes) -> Week:
    """Read one export; a row that cannot be read costs that row.

    Raises
    ------
    DataError
        When it is no array of rows, none of them can be read, or so many are broken that the
        format must have changed.
    """
    rows = _rows(body)
    releases: dict[int, Release] = {}
    problems: dict[int, str] = {}
    all_day = 0
    for number, row in enumerate(rows, start=1):
        try:
            if _is_all_day(row):
                all_day += 1
            else:
                releases[number] = _release(row)
        except ValueError as error:
            problems[number] = f"row {number}: {error}"
    if not releases or len(problems) > MOST_BROKEN * len(rows):
        first = f", the first is {next(iter(problems.values()))}" if problems else ""
        raise DataError(f"{len(problems)} of {len(rows)} rows cannot be read{first}")
    start = _most_frequent_week(releases.values())
    end = _sunday(start, 7)
    for number, release in list(releases.items()):
        if not start <= release.time < end:
            day = datetime.fromtimestamp(release.time, tz=_NEW_YORK).date()
            problems[number] = f"row {number}: {reprlib.repr(release.event)} is of another week, {day}"
            del releases[number]
    ordered = sorted(releases.values(), key=lambda release: (release.time, release.currency, release.event))
    return Week(tuple(ordered), tuple(problems[number] for number in sorted(problems)), start, end, all_day)


def _rows(body: bytes) -> list[Any]:
    try:
        found = parse_json(body, "the calendar", max_bytes=LARGEST_EXPORT, mend_text=True)
    except JsonError as error:
        # Whole, but with something in it that cannot be decoded: that costs its own row.
        text = body.decode("utf-8-sig", "replace").strip() if len(body) <= LARGEST_EXPORT else ""
        found = array_items(text) if text.startswith("[") and text.endswith("]") else []
        if not found:
            raise DataError(f"not JSON ({clean_text(str(error), 120)}): it begins with {body[:60]!r}") from error
        return [_row(item) for item in found]
    if not isinstance(found, list) or not found:
        raise DataError(f"not a list of releases: {reprlib.repr(found)}")
    return found


def _row(text: str) -> Any:
    try:
        return parse_json(text, "the row", mend_text=True)
    except JsonError as error:
        return str(error)


def _most_frequent_week(releases: Iterable[Release]) -> int:
    """Return the New York Sunday of the week that most releases lie in, of two the earlier."""
    counts = Counter(_sunday(release.time, 0) for release in releases)
    return min(counts, key=lambda start: (-counts[start], start))


def _is_all_day(row: Any) -> bool:
    """Tell whether a row tells a day without a time, by what it says or by a date alone."""
    if not isinstance(row, Mapping):
        return False
    date = row.get("date")
    alone = isinstance(date, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", date.strip(), re.ASCII) is not None
    said = any(
        isinstance(value, str) and value.strip().lower() == "all day" for key, value in row.items() if key != "title"
    )
    return alone or said


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
    text = clean_text(html.unescape(value), _LONGEST_WORDS)
    if absent is None and not text:
        raise ValueError(f"{key} is {reprlib.repr(value)}, which shows nothing")
    return text


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
