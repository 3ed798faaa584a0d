"""Bars as contiguous arrays, the form in which the kernels read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from novosky.errors import DataError
from novosky.market.bars import REQUIRED_COLUMNS, epoch_seconds
from novosky.market.timeframe import USUAL

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

BARS_PER_DAY = USUAL.bars_per_day


@dataclass(frozen=True, eq=False)
class BarArrays:
    """Columns of a bar frame, each of shape (n,).

    Attributes
    ----------
    times : ndarray of int64
        Opens in seconds since 1970-01-01 UTC, strictly rising, on the M15 grid.
    open, high, low, close : ndarray of float64
        Bid prices in USD.
    volume : ndarray of float64
        Whatever the source counts; only its ratios are used.
    """

    times: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray

    @classmethod
    def from_bars(cls, bars: pd.DataFrame) -> BarArrays:
        """Copy the columns out of a bar frame.

        Raises
        ------
        DataError
            When a column is missing, there is no bar, or the stamps are not strictly
            rising multiples of 15 minutes: windows are counted in bars and days are cut
            by stamp, so either would make every feature wrong without a sign.
        """
        missing = [name for name in REQUIRED_COLUMNS if name not in bars.columns]
        if missing or len(bars) == 0:
            what = f"column(s) {', '.join(missing)} missing" if missing else "no bars"
            raise DataError(f"features need a bar frame: {what}; load the file through validate_bars")
        times = np.array(epoch_seconds(bars), dtype=np.int64)
        broken = times % USUAL.seconds != 0
        broken[1:] |= np.diff(times) <= 0
        if broken.any():
            row = int(np.flatnonzero(broken)[0])
            raise DataError(
                f"features need M15 bars in rising order: row {row} ({bars['time'].iloc[row]}) is off the "
                "15-minute grid or not later than the one before; load the file through validate_bars"
            )
        # Fresh writable copies: pandas hands out read-only views, which Numba would compile anew.
        columns = (np.array(bars[name], dtype=np.float64) for name in REQUIRED_COLUMNS[1:])
        return cls(times, *columns)
