"""Stamps of bars as people and programs write them: epochs, compact figures, dates and times with or without a zone.

A stamp is read as what it says, exactly, and has to lie in the years of `FIRST_YEAR` to
`LAST_YEAR`; nothing is rounded and nothing is guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from novosky.data.text.table import TextTable
from novosky.errors import DataError
from novosky.market.bars import FIRST_YEAR, LAST_YEAR
from novosky.market.timeframe import DAY_SECONDS

Nanoseconds = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_SECOND = 10**9
_END = (np.datetime64(f"{LAST_YEAR + 1}-01-01", "s").astype(int)) * _SECOND
# Epochs are told by their magnitude: seconds since 1973 have 9 or 10 digits, milliseconds 12 or 13, …
_EPOCH_UNITS = ((8, 1_000_000_000), (11, 1_000_000), (14, 1_000), (17, 1))
_COMPACT = {
    8: r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)",
    12: r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)(?P<H>\d\d)(?P<M>\d\d)",
    14: r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)(?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d)",
    17: r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)(?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d)(?P<f>\d{3})",
}
_TIME = (
    r"(?:(?:[T ]|, ?) *(?P<H>\d{1,2}):(?P<M>\d\d)(?::(?P<S>\d\d)(?:[.,](?P<f>\d{1,9}))?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?"
    r"(?: ?(?P<zone>Z|z|\(?(?:UTC|GMT)(?:[+-]\d{1,2}(?::?\d\d)?)?\)?|[+-]\d\d(?::?\d\d)?))?)?"
)
_COMPACT_TIME = (
    r"(?:[T ] *(?P<H>\d\d):?(?P<M>\d\d)(?::?(?P<S>\d\d)(?:[.]?(?P<f>\d{1,9}))?)?(?P<zone>Z|[+-]\d\d:?\d\d)?)?"
)
_YEAR_FIRST = r"(?P<y>\d{4})(?:-(?P<m>\d{1,2})-|/(?P<m2>\d{1,2})/|\.(?P<m3>\d{1,2})\.)(?P<d>\d{1,2})" + _TIME
_YEAR_LAST = r"(?P<a>\d{1,2})(?P<mark>[./-])(?P<b>\d{1,2})[./-](?P<y>\d{4})" + _TIME
_COMPACT_DATE = r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)" + _COMPACT_TIME
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_NAMED = r"(?P<d>\d{1,2})[ -](?P<name>[A-Za-z]{3})[a-z]*[ -](?P<y>\d{4})" + _TIME


@dataclass(frozen=True)
class Stamps:
    """A column of stamps.

    Attributes
    ----------
    clock : int64 array, shape (n,)
        What the clock face shows, in nanoseconds since 1970-01-01 00:00 of that clock.
    offset : int64 array or None
        How far that clock is ahead of UTC, in nanoseconds, where the stamps say it themselves.
    epoch : bool
        Whether the stamps count from 1970: UTC, unless a terminal's wall clock is dressed so.
    """

    clock: Nanoseconds
    offset: Nanoseconds | None = None
    epoch: bool = False


def read_stamps(table: TextTable, texts: list[str]) -> Stamps:
    """Read a column of stamps, all in one notation.

    Raises
    ------
    DataError
        For a text that is no stamp, a date that does not exist, a year outside `FIRST_YEAR` to
        `LAST_YEAR`, day and month that cannot be told apart, or notations mixed; names file,
        line and stamp.
    """
    texts = [text.strip() for text in texts]
    first = texts[0]
    if _looks_like_a_figure(first) or not any(mark in first for mark in "-/.: "):
        return _figures(table, texts)
    for pattern, read in (
        (_YEAR_FIRST, _year_first),
        (_YEAR_LAST, _year_last),
        (_COMPACT_DATE, _calendar),
        (_MONTH_NAMED, _calendar),
    ):
        if re.fullmatch(pattern, first):
            return read(table, texts, _Parts(table, texts, pattern))
    raise _no_time(table, texts, 0)


def _no_time(table: TextTable, texts: list[str], row: int) -> DataError:
    text = texts[row]
    zone = re.search(r"\d ?\(?([A-Za-z]{2,}(?:/[A-Za-z_]+)?)\)?\Z", text)
    if zone is not None and zone[1].lower() not in ("am", "pm"):
        return DataError(
            f"{table.place(row)}: {text!r} names the zone {zone[1]!r}; write UTC or an offset such as +02:00, or leave "
            "it out and give --server-clock"
        )
    if re.fullmatch(r"\d{1,2}[./-]\d{1,2}[./-]\d\d(\D.*)?", text):
        return DataError(f"{table.place(row)}: {text!r} has a year of two digits; write four")
    return DataError(f"{table.place(row)}: {text!r} is not a time; write 2024-01-02 00:15, or epoch seconds")


class _Parts:
    """The named groups of a pattern over a column of texts, each an array of the same length."""

    def __init__(self, table: TextTable, texts: list[str], pattern: str) -> None:
        found = pc.extract_regex(pa.array(texts, pa.string()), f"^(?:{pattern})$")
        missing = np.asarray(found.is_null())
        if missing.any():
            raise _no_time(table, texts, int(np.argmax(missing)))
        self._fields: dict[str, pa.Array] = {field.name: found.field(i) for i, field in enumerate(found.type)}

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def texts(self, name: str) -> list[str]:
        """Return the texts of a group, empty where it matched nothing."""
        return [text or "" for text in self._fields[name].to_pylist()]

    def number(self, name: str) -> npt.NDArray[np.int64]:
        """Return a group of digits as figures, 0 where it matched nothing or does not exist."""
        if name not in self._fields:
            return np.zeros(len(next(iter(self._fields.values()))), dtype=np.int64)
        field = self._fields[name]
        padded = pc.if_else(pc.equal(pc.fill_null(field, ""), ""), "0", field)
        return np.asarray(pc.cast(padded, pa.int64()), dtype=np.int64)

    def fraction(self) -> npt.NDArray[np.int64]:
        """Return the digits after the seconds in nanoseconds."""
        if "f" not in self._fields:
            return self.number("f")
        padded = pc.utf8_rpad(pc.fill_null(self._fields["f"], ""), 9, "0")
        return np.asarray(pc.cast(padded, pa.int64()), dtype=np.int64)


def _year_first(table: TextTable, texts: list[str], parts: _Parts) -> Stamps:
    month = parts.number("m") + parts.number("m2") + parts.number("m3")
    return _calendar(table, texts, parts, month=month)


def _year_last(table: TextTable, texts: list[str], parts: _Parts) -> Stamps:
    first, second = parts.number("a"), parts.number("b")
    day_first, month_first = bool((first > 12).any()), bool((second > 12).any())
    if parts.texts("mark")[0] == "." and not month_first:
        day_first = True  # Dots are used where the day stands first.
    if day_first and month_first:
        odd = (first > 12) if (second > 12)[int(np.argmax((first > 12) | (second > 12)))] else (second > 12)
        row = int(np.argmax(odd))
        raise DataError(f"{table.place(row)}: {texts[row]!r} has the day where other lines have the month")
    if not day_first and not month_first:
        raise DataError(
            f"{table.place(0)}: {texts[0]!r}: day and month cannot be told apart, no day of the file is above 12; "
            "write the dates as 2024-01-31"
        )
    month, day = (second, first) if day_first else (first, second)
    return _calendar(table, texts, parts, month=month, day=day)


def _calendar(
    table: TextTable,
    texts: list[str],
    parts: _Parts,
    *,
    month: npt.NDArray[np.int64] | None = None,
    day: npt.NDArray[np.int64] | None = None,
) -> Stamps:
    year = parts.number("y")
    if "name" in parts:
        month = np.array([_month(name) for name in parts.texts("name")], dtype=np.int64)
    month = parts.number("m") if month is None else month
    day = parts.number("d") if day is None else day
    hour = _hours(parts)
    minute, second = parts.number("M"), parts.number("S")
    _check_years(table, texts, (year < FIRST_YEAR) | (year > LAST_YEAR))
    broken = (month < 1) | (month > 12) | (day < 1) | (day > 31) | (hour < 0) | (hour > 23) | (minute > 59)
    broken |= second > 59
    months = (year - 1970) * 12 + np.clip(month, 1, 12) - 1
    days = months.astype("datetime64[M]").astype("datetime64[D]") + (day - 1)
    broken |= days.astype("datetime64[M]").astype(np.int64) != months
    if broken.any():
        raise _no_time(table, texts, int(np.argmax(broken)))
    seconds = days.astype(np.int64) * DAY_SECONDS + hour * 3600 + minute * 60 + second
    clock = seconds * _SECOND + parts.fraction()
    return Stamps(clock, _offsets(table, texts, parts))


def _check_years(table: TextTable, texts: list[str], broken: Flags) -> None:
    if broken.any():
        row = int(np.argmax(broken))
        raise DataError(
            f"{table.place(row)}: {texts[row]!r} lies outside the years {FIRST_YEAR} to {LAST_YEAR}; "
            "the file is damaged, export it again"
        )


def _month(name: str) -> int:
    """Return the number of an English month name, 0 for anything else."""
    return _MONTHS.index(name.lower()) + 1 if name.lower() in _MONTHS else 0


def _hours(parts: _Parts) -> npt.NDArray[np.int64]:
    """Return hours of 24; -1 where a half of the day does not go with its hour."""
    hour = parts.number("H")
    if "half" not in parts:
        return hour
    half = np.array([text.lower() for text in parts.texts("half")])
    told = half != ""
    twelve = np.where((hour < 1) | (hour > 12), -1, hour % 12 + 12 * (half == "p"))
    return np.asarray(np.where(told, twelve, hour), dtype=np.int64)


def _offsets(table: TextTable, texts: list[str], parts: _Parts) -> Nanoseconds | None:
    """Return what the zones at the end of the stamps say, None where there are none."""
    zones = parts.texts("zone") if "zone" in parts else []
    if not any(zones):
        return None
    told = {zone: offset_of(zone) for zone in set(zones)}
    for row, zone in enumerate(zones):
        if told[zone] is None:
            what = "has no zone, but other lines have one" if not zone else "has a zone that does not exist"
            raise DataError(f"{table.place(row)}: {texts[row]!r} {what}; export the file again")
    return np.array([told[zone] for zone in zones], dtype=np.int64) * _SECOND


def offset_of(zone: str) -> int | None:
    """Return the seconds by which a zone such as ``Z``, ``UTC``, ``GMT+0100`` or ``+02:00`` is ahead of UTC."""
    match = re.fullmatch(r"\(?(?:Z|z|(?:UTC|GMT)?(?:(?P<sign>[+-])(?P<h>\d{1,2})(?::?(?P<m>\d\d))?)?)\)?", zone)
    if match is None or not zone:
        return None
    hours, minutes = int(match["h"] or 0), int(match["m"] or 0)
    if hours > 14 or minutes > 59:
        return None
    return (-1 if match["sign"] == "-" else 1) * (hours * 3600 + minutes * 60)


def _figures(table: TextTable, texts: list[str]) -> Stamps:
    """Read a column of bare figures: compact calendar forms where the first one is, else epochs."""
    first = texts[0]
    if _is_compact(first):
        return _calendar(table, texts, _Parts(table, texts, _COMPACT[len(first)]))
    return Stamps(_epochs(table, texts), epoch=True)


def _is_compact(text: str) -> bool:
    match = re.fullmatch(_COMPACT[len(text)], text, re.ASCII) if len(text) in _COMPACT else None
    if match is None:
        return False
    # Twelve digits may also be milliseconds of the years before 2001; the other widths are no epoch's.
    plausible = len(text) != 12 or FIRST_YEAR <= int(match["y"]) <= LAST_YEAR
    return plausible and 1 <= int(match["m"]) <= 12 and 1 <= int(match["d"]) <= 31


def _epochs(table: TextTable, texts: list[str]) -> Nanoseconds:
    clock = np.empty(len(texts), dtype=np.int64)
    unit = None
    for row, text in enumerate(texts):
        whole, _, fraction = text.partition(".")
        if not (whole.isdecimal() and whole.isascii() and (not fraction or fraction.isdecimal())):
            raise _no_epoch(table, texts, row) if _looks_like_a_figure(text) else _no_time(table, texts, row)
        own = _epoch_unit(whole)
        if own is None:
            raise _no_epoch(table, texts, row)
        if unit is not None and own != unit:
            raise DataError(
                f"{table.place(row)}: {text!r} is an epoch time in another unit than the lines before; "
                "the file is damaged, export it again"
            )
        unit = own
        clock[row] = int(whole) * unit
        if fraction.strip("0"):
            # What is finer than a nanosecond has to stay off the grid all the same.
            clock[row] += max(1, int(fraction[:9].ljust(9, "0")) * unit // _SECOND)
    return clock


def _epoch_unit(whole: str) -> int | None:
    """Return the nanoseconds of the unit in which `whole` is a plausible time, None where there is none."""
    digits = len(whole)
    unit = next((unit for least, unit in reversed(_EPOCH_UNITS) if digits > least and whole[0] != "0"), None)
    # Longer figures are no time in any unit, and Python refuses to convert very long ones.
    if unit is None or digits > 19 or int(whole) * unit >= _END:
        return None
    return unit


def _looks_like_a_figure(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _no_epoch(table: TextTable, texts: list[str], row: int) -> DataError:
    return DataError(
        f"{table.place(row)}: {texts[row]!r} is no epoch time of the years 1973 to {LAST_YEAR} in seconds, "
        "milliseconds, microseconds or nanoseconds; the file is damaged or a spreadsheet changed it, export it again"
    )
