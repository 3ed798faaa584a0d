"""Broker server clocks as rules of time zones, never as constant offsets.

MetaTrader 5 hands out its server's wall clock dressed as epoch seconds. Most servers keep
New York time plus seven hours, so that the trading day of currencies ends at 00:00: that is
UTC+2 in winter and UTC+3 in summer, switching with the United States' dates, not Europe's.
A history of more than a few months crosses a switch, so an offset cannot describe it.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Literal, NamedTuple, overload
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt
import pandas as pd

from novosky.errors import DataError, SettingsError

Seconds = npt.NDArray[np.int64]
RepeatedHour = Literal["error", "earlier", "later"]

_NEW_YORK_RULE = re.compile(r"NewYork(?P<hours>[+-]\d{1,2})\Z")
ZONE_STEP = 900
"""Seconds: clocks of the world differ from UTC by whole quarters of an hour."""
_DAY = 86_400
_BLOCK_DAYS = 4_096
"""Midnights are computed in blocks of about eleven years and kept."""


class Midnights(NamedTuple):
    """Server midnights, where swap is charged and the trading day rolls over.

    Attributes
    ----------
    utc : numpy.ndarray of int64, shape (n,)
        Instants in seconds since 1970-01-01 UTC, ascending.
    weekday : numpy.ndarray of int64, shape (n,)
        Weekday of the server day that has just ended, 0 = Monday … 6 = Sunday.
    """

    utc: Seconds
    weekday: Seconds


class ClockChange(NamedTuple):
    """A moment at which a clock is set forward in spring or back in autumn.

    Attributes
    ----------
    utc : int
        The moment, UTC epoch seconds.
    before, after : int
        Seconds by which the clock is ahead of UTC before and after it.
    """

    utc: int
    before: int
    after: int

    @property
    def first_face(self) -> int:
        """Where on the clock's face the time that is skipped or repeated begins, in epoch seconds."""
        return self.utc + min(self.before, self.after)

    @property
    def last_face(self) -> int:
        """Where it ends."""
        return self.utc + max(self.before, self.after)

    @property
    def slack(self) -> int:
        """Seconds by which a server's clock may be set late or early: half of that time."""
        return abs(self.after - self.before) // 2


@dataclass(frozen=True)
class ServerClock:
    """A server's wall clock, given by the name of its rule.

    Parameters
    ----------
    rule : str
        ``"UTC"``, ``"NewYork+7"`` (New York local time plus that many hours, -23 … 23) or
        any IANA zone such as ``"Europe/Athens"``.

    Raises
    ------
    SettingsError
        When the rule names no known zone.

    Examples
    --------
    >>> clock = ServerClock("NewYork+7")
    >>> clock.to_utc(np.array([1_704_153_600]))  # 2024-01-02 00:00 on the server
    array([1704146400])
    """

    rule: str

    def __post_init__(self) -> None:
        self._zone_and_shift()

    def _zone_and_shift(self) -> tuple[ZoneInfo, int]:
        # ZoneInfo keeps its own cache, so resolving the name again costs a dictionary look-up.
        match = _NEW_YORK_RULE.match(self.rule)
        if match is not None and abs(int(match["hours"])) < 24:
            return ZoneInfo("America/New_York"), int(match["hours"]) * 3600
        try:
            return ZoneInfo(self.rule), 0
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise SettingsError(
                f"server clock {self.rule!r} is not a known rule; give UTC, NewYork+7 (most MetaTrader 5 servers) "
                "or an IANA zone such as Europe/Athens; a plain offset such as UTC+2 ignores daylight saving"
            ) from error

    @overload
    def to_utc(self, wall: pd.Series[pd.Timestamp], *, repeated: RepeatedHour = "error") -> pd.Series[pd.Timestamp]: ...

    @overload
    def to_utc(self, wall: Seconds, *, repeated: RepeatedHour = "error") -> Seconds: ...

    def to_utc(
        self, wall: pd.Series[pd.Timestamp] | Seconds, *, repeated: RepeatedHour = "error"
    ) -> pd.Series[pd.Timestamp] | Seconds:
        """Convert the server's wall clock to UTC.

        Parameters
        ----------
        wall : pandas.Series of naive timestamps, or int64 array of wall-clock epoch seconds
            Epoch seconds as MetaTrader 5 gives them: the clock face read as if it were UTC.
        repeated : {"error", "earlier", "later"}
            What a stamp inside the hour that the autumn switch repeats stands for. Only the
            owner of the data knows, so the default refuses to choose.

        Returns
        -------
        Same kind as `wall`
            ``datetime64[ns, UTC]`` with the index of `wall`, or UTC epoch seconds.

        Raises
        ------
        DataError
            For a stamp that is missing, that the clock skipped, or that occurred twice while
            `repeated` is ``"error"``; the message names the row.
        """
        if isinstance(wall, pd.Series):
            if not pd.api.types.is_datetime64_any_dtype(wall.dtype) or wall.dt.tz is not None:
                raise DataError(f"server clock {self.rule}: expected naive timestamps, not {wall.dtype}")
            utc = self._localize(pd.DatetimeIndex(wall), repeated)
            return pd.Series(utc.as_unit("ns"), index=wall.index, name=wall.name)
        return _seconds(self._localize(_from_seconds(wall), repeated))

    @overload
    def from_utc(self, utc: pd.Series[pd.Timestamp]) -> pd.Series[pd.Timestamp]: ...

    @overload
    def from_utc(self, utc: Seconds) -> Seconds: ...

    def from_utc(self, utc: pd.Series[pd.Timestamp] | Seconds) -> pd.Series[pd.Timestamp] | Seconds:
        """Convert UTC to the server's wall clock; the inverse of `to_utc`, defined everywhere.

        Parameters
        ----------
        utc : pandas.Series of UTC timestamps, or int64 array of UTC epoch seconds

        Returns
        -------
        Same kind as `utc`
            Naive timestamps (``datetime64[ns]``) or wall-clock epoch seconds.

        Raises
        ------
        DataError
            When a series carries no time zone.
        """
        if isinstance(utc, pd.Series):
            if not pd.api.types.is_datetime64_any_dtype(utc.dtype) or utc.dt.tz is None:
                raise DataError(f"server clock {self.rule}: expected UTC timestamps, not {utc.dtype}")
            return pd.Series(self._wall(pd.DatetimeIndex(utc)).as_unit("ns"), index=utc.index, name=utc.name)
        return _seconds(self._wall(_from_seconds(utc).tz_localize("UTC")))

    def offset(self, utc: int) -> int:
        """Return by how many seconds the clock is ahead of UTC at a moment in UTC epoch seconds."""
        return int(self.from_utc(np.array([utc], dtype=np.int64))[0]) - utc

    def changes(self, start_utc: int, end_utc: int) -> tuple[ClockChange, ...]:
        """List the changes of the clock between two moments, UTC epoch seconds, ascending."""
        return _changes(self, start_utc // _DAY, -(-end_utc // _DAY))

    def _changes_of_days(self, first: int, last: int) -> tuple[ClockChange, ...]:
        days = np.arange(first, last + 1, dtype=np.int64) * _DAY
        offsets = self.from_utc(days) - days
        found = []
        for place in np.flatnonzero(np.diff(offsets)):
            minutes = days[place] + 60 * np.arange(_DAY // 60 + 1, dtype=np.int64)
            within = self.from_utc(minutes) - minutes
            found += [
                ClockChange(int(minutes[at + 1]), int(within[at]), int(within[at + 1]))
                for at in np.flatnonzero(np.diff(within))
            ]
        return tuple(found)

    def midnights(self, start_utc: int, end_utc: int) -> Midnights:
        """List the server midnights after `start_utc` and up to `end_utc`, in UTC epoch seconds.

        Where the clock skips midnight, the first instant of the new day counts; where it
        repeats midnight, the first pass counts.
        """
        if end_utc <= start_utc:
            empty = np.empty(0, dtype=np.int64)
            return Midnights(empty, empty.copy())
        # A server's day begins less than two days from the UTC day of the same number.
        first, last = (start_utc // _DAY - 2) // _BLOCK_DAYS, (end_utc // _DAY + 2) // _BLOCK_DAYS
        table = _midnight_table(self, first, last)
        begin, end = np.searchsorted(table.utc, [start_utc, end_utc], side="right")
        # Copies: the table is shared by all who ask.
        return Midnights(table.utc[begin:end].copy(), table.weekday[begin:end].copy())

    def _midnights_of_days(self, days: Seconds) -> Midnights:
        """Return the midnight at which each server day of `days` (since 1970-01-01) begins."""
        zone, shift = self._zone_and_shift()
        local = _from_seconds(days * _DAY - shift)
        first_pass = np.ones(len(local), dtype=bool)
        utc = _seconds(local.tz_localize(zone, ambiguous=first_pass, nonexistent="shift_forward").tz_convert("UTC"))
        # 1970-01-01 was a Thursday (3); the day before midnight of day d has weekday (d - 1 + 3) % 7.
        return Midnights(utc, (days + 2) % 7)

    def _wall(self, utc: pd.DatetimeIndex) -> pd.DatetimeIndex:
        zone, shift = self._zone_and_shift()
        return utc.tz_convert(zone).tz_localize(None) + pd.Timedelta(seconds=shift)

    def _localize(self, wall: pd.DatetimeIndex, repeated: RepeatedHour) -> pd.DatetimeIndex:
        missing = np.asarray(wall.isna())
        if missing.any():
            raise DataError(f"server clock {self.rule}: row {int(np.argmax(missing))}: the time is missing")
        zone, shift = self._zone_and_shift()
        local = wall - pd.Timedelta(seconds=shift)
        ambiguous: npt.NDArray[np.bool_] | Literal["NaT"] = "NaT"
        if repeated != "error":
            ambiguous = np.full(len(local), repeated == "earlier", dtype=np.bool_)
        utc = local.tz_localize(zone, ambiguous=ambiguous, nonexistent="NaT").tz_convert("UTC")
        broken = np.asarray(utc.isna())
        if broken.any():
            row = int(np.argmax(broken))
            skipped = local[[row]].tz_localize(zone, ambiguous=np.ones(1, dtype=bool), nonexistent="NaT").isna()[0]
            what = (
                "was skipped by the spring clock change, so the rule does not fit this data"
                if skipped
                else "occurred twice in the autumn clock change; say whether it is the earlier or the later pass"
            )
            raise DataError(
                f"server clock {self.rule}: row {row} ({wall[row]}): this time {what}; {int(broken.sum())} such row(s)"
            )
        return utc


@functools.lru_cache(maxsize=8)
def _midnight_table(clock: ServerClock, first: int, last: int) -> Midnights:
    """Return all midnights of the blocks `first` to `last`; a sweep asks for the same ones thousands of times."""
    return clock._midnights_of_days(np.arange(first * _BLOCK_DAYS, (last + 1) * _BLOCK_DAYS, dtype=np.int64))


@functools.lru_cache(maxsize=64)
def _changes(clock: ServerClock, first: int, last: int) -> tuple[ClockChange, ...]:
    """Return the changes between two days; every stamp near one asks for the same ones."""
    return clock._changes_of_days(first, last)


def _from_seconds(seconds: Seconds) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(np.asarray(seconds, dtype=np.int64).astype("datetime64[s]"))


def _seconds(times: pd.DatetimeIndex) -> Seconds:
    return np.asarray(times.as_unit("s").asi8, dtype=np.int64)
