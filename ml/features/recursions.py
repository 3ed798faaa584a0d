"""Exponential averages with a finite memory.

A textbook exponential average remembers the first bar it ever saw, so its value depends,
however faintly, on where the history begins. Here each UTC day is computed by a run of its
own that starts `lead` bars before the day's first bar. The result differs from the endless
recursion by the weight ``(1 - alpha) ** lead`` (below 1e-8 for every average in the house,
below 1e-14 for all but EMA200), and depends on no bar before the lead: a live window of
``lead + 96`` bars gives the same bytes as ten years of history.
"""

from __future__ import annotations

import numpy as np

from novosky.compiled import compiled

from .bar_arrays import FloatArray, IntArray

_DAY_SECONDS = 86_400


@compiled
def day_first_rows(times: IntArray) -> IntArray:
    """Return, for each row, the first row of its UTC day, shape (n,)."""
    n = times.shape[0]
    out = np.zeros(n, dtype=np.int64)
    for row in range(1, n):
        same_day = times[row] // _DAY_SECONDS == times[row - 1] // _DAY_SECONDS
        out[row] = out[row - 1] if same_day else row
    return out


@compiled
def anchored_average(values: FloatArray, day_first: IntArray, alpha: float, lead: int) -> FloatArray:
    """Return the exponential average of `values`, restarted `lead` bars before each UTC day.

    Parameters
    ----------
    values : ndarray, shape (n,)
    day_first : ndarray of int64, shape (n,)
        From `day_first_rows`.
    alpha : float
        Weight of the newest value: 2 / (span + 1) for an EMA, 1 / period for Wilder's.
    lead : int
        Bars of run-in before the day's first bar, at least 1.

    Returns
    -------
    ndarray, shape (n,)
        NaN for days that have fewer than `lead` bars before them.
    """
    n = values.shape[0]
    out = np.full(n, np.nan)
    row = 0
    while row < n:
        first = row
        last = row
        while last + 1 < n and day_first[last + 1] == first:
            last += 1
        if first >= lead:
            average = values[first - lead]
            for i in range(first - lead + 1, last + 1):
                average += alpha * (values[i] - average)
                if i >= first:
                    out[i] = average
        row = last + 1
    return out


@compiled
def directional_moves(high: FloatArray, low: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return Wilder's +DM and -DM in USD, each of shape (n,); the first row is zero."""
    n = high.shape[0]
    plus = np.zeros(n)
    minus = np.zeros(n)
    for row in range(1, n):
        up = high[row] - high[row - 1]
        down = low[row - 1] - low[row]
        if up > down and up > 0.0:
            plus[row] = up
        elif down > up and down > 0.0:
            minus[row] = down
    return plus, minus
