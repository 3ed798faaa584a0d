"""Closed bars in UTC: the whole window once, after that only what is new."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from novosky.clock import Clock
from novosky.market.bars import M15_SECONDS
from trading.mt5.clock import ServerTime
from trading.mt5.link import Link
from trading.mt5.terms import Timing
from trading.terminal.constants import ModuleConstants as C

Rates = npt.NDArray[Any]

_RECENT = 8
"""Rows asked for when the window is known: the new one, and enough old ones to see a revision."""
_SETTLING_READS = 5
"""How often a window that came short is read again; history trickles in after a login."""
_AHEAD = 2.0
"""Seconds by which the server's clock may run ahead of this machine's."""


class BarReader:
    """Reads one symbol's M15 bars.

    Parameters
    ----------
    link : Link
    time : ServerTime
    clock : Clock
    timing : Timing
    volume_unit : float
        A frame's volume is `tick_volume` over this.
    """

    def __init__(self, link: Link, time: ServerTime, clock: Clock, timing: Timing, volume_unit: float) -> None:
        self._link, self._time, self._clock, self._timing = link, time, clock, timing
        self._volume_unit = volume_unit
        self.forget()

    def forget(self) -> None:
        """Read the whole window next time, as after a new connection."""
        self._rows: Rates | None = None
        self._utc = np.empty(0, dtype=np.int64)
        self._complete = 0

    def closed(self, symbol: str, count: int) -> pd.DataFrame:
        """Return the newest `count` closed bars, fewer if the terminal has no more, as a bar frame."""
        if self._rows is None or self._complete < count or not self._append(symbol):
            self._read_all(symbol, count)
        rows, utc = self._rows, self._utc
        assert rows is not None, "just read"
        # Where the server's clock was set back the newest rows by stamp are not the newest by time.
        finished = utc + M15_SECONDS <= self._clock.now() + _AHEAD
        if not finished.all():
            rows, utc = rows[finished], utc[finished]
        return self._frame(rows[-count:], utc[-count:])

    def _frame(self, rows: Rates, utc: npt.NDArray[np.int64]) -> pd.DataFrame:
        times = pd.DatetimeIndex((utc * 10**9).view("datetime64[ns]"), tz="UTC")
        return pd.DataFrame(
            {
                "time": times,
                "open": rows["open"],
                "high": rows["high"],
                "low": rows["low"],
                "close": rows["close"],
                "volume": rows["tick_volume"] / self._volume_unit,
            }
        )

    def _append(self, symbol: str) -> bool:
        """Add what has closed since; False when the known rows and the terminal's do not fit together."""
        known = self._rows
        assert known is not None, "asked only with a window"
        recent: Rates = self._link.read("copy_rates_from_pos", symbol, C.TIMEFRAME_M15, 1, _RECENT)
        if len(known) == 0 or len(recent) == 0:
            return False
        place = np.flatnonzero(recent["time"] == known["time"][-1])
        if len(place) == 0:
            return False
        overlap = int(place[0]) + 1
        if overlap > len(known) or not np.array_equal(known[-overlap:], recent[:overlap]):
            return False
        added = recent[overlap:]
        if len(added):
            drop = max(0, len(known) + len(added) - self._complete)
            # Only the new stamps are converted: after a switch of the clock a whole window takes longer.
            self._store(np.concatenate((known[drop:], added)), np.concatenate((self._utc[drop:], self._utc_of(added))))
        return True

    def _read_all(self, symbol: str, count: int) -> None:
        rows = self._pages(symbol, count)
        for _ in range(_SETTLING_READS):
            if len(rows) >= count:
                break
            self._clock.sleep(self._timing.read_pause)
            before, rows = len(rows), self._pages(symbol, count)
            if len(rows) == before:
                break
        self._store(rows, self._utc_of(rows))
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
        rows = np.concatenate(pages[::-1])
        # A bar that closed between two pages has shifted the later one by a row.
        return rows[np.unique(rows["time"], return_index=True)[1]]

    def _page(self, symbol: str, start: int, size: int, *, first: bool) -> Rates:
        if first:
            page: Rates = self._link.read("copy_rates_from_pos", symbol, C.TIMEFRAME_M15, start, size)
            return page if len(page) else _EMPTY.copy()
        answer = self._link.ask("copy_rates_from_pos", symbol, C.TIMEFRAME_M15, start, size)
        # Beyond the oldest bar the terminal answers with a failure, not with nothing.
        return _EMPTY.copy() if answer.value is None or len(answer.value) == 0 else answer.value

    def _utc_of(self, rows: Rates) -> npt.NDArray[np.int64]:
        return self._time.utc_of(rows["time"].astype(np.int64), self._clock.now())

    def _store(self, rows: Rates, utc: npt.NDArray[np.int64]) -> None:
        if (np.diff(utc) <= 0).any():
            order = np.argsort(utc, kind="stable")
            rows, utc = rows[order], utc[order]
        self._rows, self._utc = rows, utc


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
