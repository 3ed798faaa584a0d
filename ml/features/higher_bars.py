"""Higher-timeframe closes on the UTC grid, and what is known of them at each row."""

from __future__ import annotations

import math

import numpy as np

from novosky.compiled import compiled
from novosky.market.bar_arrays import FloatArray, IntArray


@compiled
def closed_higher_bars(
    times: IntArray, close: FloatArray, seconds: int, bar_seconds: int
) -> tuple[FloatArray, IntArray]:
    """Gather closes into higher bars and say which of them are closed at each row.

    A higher bar covers ``[k * seconds, (k + 1) * seconds)`` in UTC. It is closed at a row
    when that row's own close is not earlier than the higher bar's end; a higher bar
    without any bar of its own does not exist.

    Parameters
    ----------
    times, close : ndarray, shape (n,)
        Opens, rising, and closes.
    seconds : int
        Length of the higher bar, a multiple of `bar_seconds`.
    bar_seconds : int
        Length of a bar.

    Returns
    -------
    closes : ndarray, shape (m,)
        Close of each higher bar (the close of its last bar), the unfinished last one included.
    last_closed : ndarray of int64, shape (n,)
        Index of the newest closed higher bar, -1 when there is none.
    """
    n = times.shape[0]
    closes = np.empty(n)
    last_closed = np.empty(n, dtype=np.int64)
    current = -1
    # Compared with the end of the higher bar, not divided, which would cost more than the rest.
    end = times[0]
    for row in range(n):
        if times[row] >= end:
            end = (times[row] // seconds + 1) * seconds
            current += 1
        closes[current] = close[row]
        ends_here = times[row] + bar_seconds == end
        last_closed[row] = current if ends_here else current - 1
    return closes[: current + 1].copy(), last_closed


@compiled
def gather(values: FloatArray, index: IntArray, rows: int) -> FloatArray:
    """Return ``values[index]`` of the newest `rows` rows, NaN where the index is negative."""
    n = index.shape[0]
    out = np.full(rows, np.nan)
    for row in range(n - rows, n):
        if index[row] >= 0:
            out[row - (n - rows)] = values[index[row]]
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
