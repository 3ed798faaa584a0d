"""Higher-timeframe closes on the UTC grid, and what is known of them at each M15 row."""

from __future__ import annotations

import math

import numpy as np

from novosky.compiled import compiled
from novosky.market.timeframe import USUAL

from .bar_arrays import FloatArray, IntArray

_BAR_SECONDS = USUAL.seconds


@compiled
def closed_higher_bars(times: IntArray, close: FloatArray, seconds: int) -> tuple[FloatArray, IntArray]:
    """Gather M15 closes into higher bars and say which of them are closed at each row.

    A higher bar covers ``[k * seconds, (k + 1) * seconds)`` in UTC. It is closed at a row
    when that row's own close is not earlier than the higher bar's end; a higher bar
    without any M15 bar does not exist.

    Parameters
    ----------
    times, close : ndarray, shape (n,)
    seconds : int
        Length of the higher bar, a multiple of that of a row.

    Returns
    -------
    closes : ndarray, shape (m,)
        Close of each higher bar (the close of its last M15 bar), the unfinished last one included.
    last_closed : ndarray of int64, shape (n,)
        Index of the newest closed higher bar, -1 when there is none.
    """
    n = times.shape[0]
    closes = np.empty(n)
    last_closed = np.empty(n, dtype=np.int64)
    current = -1
    bucket = np.int64(-1)
    for row in range(n):
        if times[row] // seconds != bucket:
            bucket = times[row] // seconds
            current += 1
        closes[current] = close[row]
        ends_here = (times[row] + _BAR_SECONDS) % seconds == 0
        last_closed[row] = current if ends_here else current - 1
    return closes[: current + 1].copy(), last_closed


@compiled
def gather(values: FloatArray, index: IntArray) -> FloatArray:
    """Return ``values[index]`` with NaN where the index is negative, shape of `index`."""
    out = np.full(index.shape[0], np.nan)
    for row in range(index.shape[0]):
        if index[row] >= 0:
            out[row] = values[index[row]]
    return out


@compiled
def deviation_score(close: FloatArray, length: int, least_share: float) -> FloatArray:
    """Return (close - mean) / standard deviation over the last `length` closes, shape (m,).

    The deviation is never taken smaller than `least_share` of the close, so a market that
    stands still scores 0 instead of amplifying rounding.
    """
    n = close.shape[0]
    out = np.full(n, np.nan)
    for row in range(length - 1, n):
        total = 0.0
        for i in range(row - length + 1, row + 1):
            total += close[i]
        mean = total / length
        squares = 0.0
        for i in range(row - length + 1, row + 1):
            squares += (close[i] - mean) * (close[i] - mean)
        spread = max(math.sqrt(squares / length), least_share * close[row])
        out[row] = (close[row] - mean) / spread
    return out


@compiled
def simple_rsi(close: FloatArray, period: int) -> FloatArray:
    """Return the RSI of simple means (Cutler's) scaled to [-1, 1], shape (m,); 0 without moves.

    Simple means forget after `period` bars; Wilder's smoothing of H4 bars would need two
    months of M15 bars in every live window.
    """
    n = close.shape[0]
    out = np.full(n, np.nan)
    for row in range(period, n):
        net = 0.0
        path = 0.0
        for i in range(row - period + 1, row + 1):
            move = close[i] - close[i - 1]
            net += move
            path += abs(move)
        out[row] = net / path if path > 0.0 else 0.0
    return out
