"""Closed bars in UTC: the whole window once, after that only what is new."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from novosky.clock import Clock
from novosky.market.bar_arrays import BarArrays
from novosky.market.clock_changes import Placed, folded_column
from novosky.market.timeframe import Timeframe
from trading.brokers.mt5.bars.timeframes import terminal_code
from trading.brokers.mt5.clock import ServerTime
from trading.brokers.mt5.link import Link
from trading.brokers.mt5.terms import Timing

Rates = npt.NDArray[Any]
_log = logging.getLogger(__name__)

_RECENT = 8
"""Rows asked for when the window is known: the new one, and enough old ones to see a revision."""
_ROOM = 2_048
"""Rows that can be added before the window is read anew, every three weeks."""
_COLUMNS = ("open", "high", "low", "close", "volume")
_EDGE = 64
"""Rows more where the window begins or folds at a change of the clock: the first bars must be whole, too."""
_SETTLING_READS = 5
"""How often a window that came short is read again; history trickles in after a login."""
_AHEAD = 2.0
"""Seconds by which the server's clock may run ahead of this machine's."""


class BarReader:
    """Reads one symbol's bars of one time frame.

    Parameters
    ----------
    link : Link
    time : ServerTime
    clock : Clock
    timing : Timing
    volume_unit : float
        A frame's volume is `tick_volume` over this.
    frame : Timeframe
    """

    def __init__(
        self, link: Link, time: ServerTime, clock: Clock, timing: Timing, volume_unit: float, frame: Timeframe
    ) -> None:
        self._link, self._time, self._clock, self._timing = link, time, clock, timing
        self._volume_unit = volume_unit
        self._seconds, self._code = frame.seconds, terminal_code(frame)
        self._complete = self._end = 0
        self._recent = _EMPTY
        self._columns = pd.Index(list(_COLUMNS))
        self._values: npt.NDArray[np.float64] = np.empty((len(_COLUMNS), 0))
        self._utc = np.empty(0, dtype=np.int64)
        self._said: set[str] = set()

    def forget(self) -> None:
        """Read the whole window next time, as after a new connection."""
        self._complete = 0
        self._recent = _EMPTY

    def closed(self, symbol: str, count: int) -> pd.DataFrame:
        """Return the newest `count` closed bars, fewer if the terminal has no more, as a bar frame."""
        begin, end = self._newest(symbol, count)
        frame = pd.DataFrame(self._values[:, begin:end].T.copy(), columns=self._columns)
        nanoseconds = (self._utc[begin:end] * 10**9).view("datetime64[ns]")
        frame.insert(0, "time", pd.DatetimeIndex(nanoseconds, tz="UTC"))
        return frame

    def closed_arrays(self, symbol: str, count: int) -> BarArrays:
        """Return the same bars as arrays, copied: rows are written into these columns later."""
        begin, end = self._newest(symbol, count)
        opened, high, low, close, volume = self._values[:, begin:end].copy()
        return BarArrays(self._utc[begin:end].copy(), opened, high, low, close, volume, self._seconds)

    def _newest(self, symbol: str, count: int) -> tuple[int, int]:
        """Read what has closed since and return where the newest `count` closed bars stand."""
        if self._complete < count or not self._append(symbol):
            # At a change of the clock the rows are read anew at every close, not because any are missing.
            settled = self._complete >= count and self._near_change()
            self._read_all(symbol, count, tries=0 if settled else _SETTLING_READS)
        # Where the server's clock was set back the newest rows by stamp are not the newest by time.
        newest = self._clock.now() + _AHEAD - self._seconds
        end = int(np.searchsorted(self._utc[: self._end], newest, side="right"))
        if end == self._end and self._near_change() and self._goes_on(symbol):
            end -= 1
        return max(0, end - count), end

    def _near_change(self) -> bool:
        return len(self._recent) > 0 and self._time.near_change(int(self._recent[-1]["time"]))

    def _goes_on(self, symbol: str) -> bool:
        """Tell whether the newest bar, cut short by a change of the clock, goes on in the forming one."""
        forming: Rates = self._link.read("copy_rates_from_pos", symbol, self._code, 0, 1)
        if len(forming) == 0:
            return True
        utc = self._place(np.concatenate((self._recent, forming))).utc
        return bool(utc[-1] - utc[-2] < self._seconds)

    def _append(self, symbol: str) -> bool:
        """Add what has closed since; False when the known rows and the terminal's do not fit together."""
        known = self._recent
        if len(known) == 0:
            return False
        recent: Rates = self._link.read("copy_rates_from_pos", symbol, self._code, 1, _RECENT)
        place = np.flatnonzero(recent["time"] == known["time"][-1]) if len(recent) else np.empty(0, dtype=np.int64)
        if len(place) == 0:
            return False
        overlap = int(place[0]) + 1
        # As bytes: field by field a comparison of records takes ten times as long.
        if overlap > len(known) or known[-overlap:].tobytes() != recent[:overlap].tobytes():
            return False
        added = recent[overlap:]
        if len(added) and self._time.near_change(int(added[-1]["time"])):
            # Passes of a repeated hour, and bars to be folded, need the rows around them.
            return False
        utc = self._place(added).utc
        end = self._end + len(added)
        times = [int(self._utc[self._end - 1]), *utc.tolist()]
        if end > len(self._utc) or any(later <= earlier for earlier, later in pairwise(times)):
            return False
        self._write(added, utc, self._end)
        self._end = end
        self._recent = recent
        return True

    def _write(self, rows: Rates, utc: npt.NDArray[np.int64], begin: int) -> None:
        place = slice(begin, begin + len(rows))
        for line, name in enumerate(("open", "high", "low", "close")):
            self._values[line, place] = rows[name]
        self._values[4, place] = rows["tick_volume"] / self._volume_unit
        self._utc[place] = utc

    def _read_all(self, symbol: str, count: int, tries: int) -> None:
        rows = self._pages(symbol, count)
        for _ in range(tries):
            if len(rows) >= count:
                break
            self._clock.sleep(self._timing.read_pause)
            before, rows = len(rows), self._pages(symbol, count)
            if len(rows) == before:
                break
        placed = self._place(rows)
        if placed.remarks or (len(rows) and self._time.near_change(int(rows["time"][0]))):
            rows = self._pages(symbol, count + _EDGE)
            placed = self._place(rows)
        self._say(placed)
        self._store(rows, placed)
        self._complete = count

    def _pages(self, symbol: str, count: int) -> Rates:
        """Read in portions that the terminal's "Max bars in chart" allows."""
        most = int(self._link.read("terminal_info").maxbars)
        pages: list[Rates] = []
        have = 0
        while have < count:
            size = min(count - have, most) if most > 0 else count - have
            page = self._page(symbol, 1 + have, size, first=not pages)
            pages.append(page)
            have += len(page)
            if len(page) < size:
                break
        rows = pages[0]
        for older in pages[1:]:
            rows = _joined(older, rows)
        return rows

    def _page(self, symbol: str, start: int, size: int, *, first: bool) -> Rates:
        if first:
            page: Rates = self._link.read("copy_rates_from_pos", symbol, self._code, start, size)
            return page if len(page) else _EMPTY.copy()
        answer = self._link.ask("copy_rates_from_pos", symbol, self._code, start, size)
        # Beyond the oldest bar the terminal answers with a failure, not with nothing.
        return _EMPTY.copy() if answer.value is None or len(answer.value) == 0 else answer.value

    def _place(self, rows: Rates) -> Placed:
        volume = rows["tick_volume"].astype(np.float64)
        return self._time.bars(rows["time"].astype(np.int64), self._clock.now(), self._seconds, volume)

    def _say(self, placed: Placed) -> None:
        """Log what the clock's change asked for, each thing once."""
        for remark in placed.remarks:
            if remark not in self._said:
                self._said.add(remark)
                _log.warning("%s", remark)

    def _store(self, rows: Rates, placed: Placed) -> None:
        self._recent = rows[-_RECENT:]
        if placed.remarks:
            rows, utc = folded_rows(rows, placed)
        else:
            utc = placed.utc
        self._end = len(rows)
        self._values = np.empty((len(_COLUMNS), self._end + _ROOM))
        self._utc = np.empty(self._end + _ROOM, dtype=np.int64)
        self._write(rows, utc, 0)


def _joined(older: Rates, newer: Rates) -> Rates:
    """Join two pages; a bar that closed between them has shifted the older one by a row."""
    for shared in range(min(len(older), len(newer), _RECENT), 0, -1):
        if older[-shared:].tobytes() == newer[:shared].tobytes():
            return np.concatenate((older[:-shared], newer))
    return np.concatenate((older, newer))


def folded_rows(rows: Rates, placed: Placed) -> tuple[Rates, npt.NDArray[np.int64]]:
    """Return one row for each moment, ascending."""
    order, begins = placed.order, placed.begins()
    folded = np.zeros(len(begins), dtype=rows.dtype)
    for name in (*_COLUMNS[:4], "tick_volume", "spread"):
        folded[name] = folded_column(name, rows[name][order], begins)
    return folded, placed.utc[order][begins]


_EMPTY: Rates = np.empty(
    0,
    dtype=[
        ("time", "<i8"),
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("tick_volume", "<u8"),
        ("spread", "<i4"),
        ("real_volume", "<u8"),
    ],
)
