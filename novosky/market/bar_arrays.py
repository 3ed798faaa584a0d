"""Bars as contiguous arrays, the form in which compiled code and a bot at the close read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from novosky.errors import DataError
from novosky.market.bars import REQUIRED_COLUMNS, epoch_seconds
from novosky.market.timeframe import USUAL, Timeframe, timeframe_name

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class BarArrays:
    """Columns of closed bars, each of shape (n,), oldest first.

    Attributes
    ----------
    times : ndarray of int64
        Opens in seconds since 1970-01-01 UTC, strictly rising, on the grid of `bar_seconds`.
    open, high, low, close : ndarray of float64
        Bid prices in USD.
    volume : ndarray of float64
        Whatever the source counts; only its ratios are used.
    bar_seconds : int
        Length of a bar.
    """

    times: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    bar_seconds: int = USUAL.seconds

    @classmethod
    def from_bars(cls, bars: pd.DataFrame, seconds: int = USUAL.seconds) -> BarArrays:
        """Copy the columns out of a bar frame, whose bars are of this length.

        Raises
        ------
        DataError
            When a column is missing, there is no bar, or as in `check`.
        """
        missing = [name for name in REQUIRED_COLUMNS if name not in bars.columns]
        if missing or len(bars) == 0:
            what = f"column(s) {', '.join(missing)} missing" if missing else "no bars"
            raise DataError(f"features need a bar frame: {what}; load the file through validate_bars")
        # Fresh writable copies: pandas hands out read-only views, which Numba would compile anew.
        opened, high, low, close, volume = (
            np.array(bars[name].to_numpy(), dtype=np.float64) for name in REQUIRED_COLUMNS[1:]
        )
        arrays = cls(np.array(epoch_seconds(bars), dtype=np.int64), opened, high, low, close, volume, seconds)
        arrays.check()
        return arrays

    @property
    def frame(self) -> Timeframe:
        """The length of a bar."""
        return Timeframe(timeframe_name(self.bar_seconds), self.bar_seconds)

    def __len__(self) -> int:
        """Return the number of bars."""
        return len(self.times)

    @property
    def newest_close(self) -> int:
        """Moment at which the newest bar closed, seconds since 1970-01-01 UTC."""
        return int(self.times[-1]) + self.bar_seconds

    def newest(self, count: int) -> BarArrays:
        """Return the newest `count` bars, fewer if there are no more; the values are not copied."""
        begin = max(len(self.times) - count, 0)
        columns = (self.open, self.high, self.low, self.close, self.volume)
        opened, high, low, close, volume = (column[begin:] for column in columns)
        return BarArrays(self.times[begin:], opened, high, low, close, volume, self.bar_seconds)

    def check(self) -> None:
        """Raise unless the stamps rise along the grid of bars.

        Raises
        ------
        DataError
            When a stamp is no multiple of a bar's length, or not later than the one before:
            windows are counted in bars and days are cut by stamp, so either would make every
            feature wrong without a sign.
        """
        broken = self.times % self.bar_seconds != 0
        broken[1:] |= self.times[1:] <= self.times[:-1]
        if broken.any():
            row = int(np.flatnonzero(broken)[0])
            stamp = pd.Timestamp(int(self.times[row]), unit="s", tz="UTC")
            minutes = self.bar_seconds // 60
            raise DataError(
                f"features need {self.frame.name} bars in rising order: row {row} ({stamp}) is off the "
                f"{minutes}-minute grid or not later than the one before; load the file through validate_bars"
            )
