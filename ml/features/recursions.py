"""Exponential averages with a finite memory.

A textbook exponential average remembers the first bar it ever saw, so its value depends,
however faintly, on where the history begins. Here each UTC day is computed by a run of its
own that starts `lead` bars before the day's first bar. The result differs from the endless
recursion by the weight ``(1 - alpha) ** lead`` (below 1e-8 for every average in the house,
below 1e-14 for all but EMA200), and depends on no bar before the lead: a live window of
``lead`` bars and a day's gives the same bytes as ten years of history.
"""

from __future__ import annotations

import numpy as np

from novosky.compiled import compiled
from novosky.market.bar_arrays import FloatArray, IntArray
from novosky.market.timeframe import DAY_SECONDS

# Days whose run-ins are computed side by side: the processor starts four steps in the time one takes.
_TOGETHER = 4


@compiled
def day_first_rows(times: IntArray) -> IntArray:
    """Return, for each row, the first row of its UTC day, shape (n,); times must rise."""
    n = times.shape[0]
    out = np.empty(n, dtype=np.int64)
    first = 0
    # Compared, not divided: a division per bar would cost more than all that reads the result.
    midnight = times[0]
    for row in range(n):
        if times[row] >= midnight:
            first = row
            midnight = (times[row] // DAY_SECONDS + 1) * DAY_SECONDS
        out[row] = first
    return out


@compiled
def _run_in(values: FloatArray, firsts: IntArray, alpha: float, lead: int, averages: FloatArray) -> None:
    """Write the average of the `lead` values before each of the four rows to `averages`."""
    one, two, three, four = firsts[0] - lead, firsts[1] - lead, firsts[2] - lead, firsts[3] - lead
    first, second, third, fourth = values[one], values[two], values[three], values[four]
    for step in range(1, lead):
        first += alpha * (values[one + step] - first)
        second += alpha * (values[two + step] - second)
        third += alpha * (values[three + step] - third)
        fourth += alpha * (values[four + step] - fourth)
    averages[0], averages[1], averages[2], averages[3] = first, second, third, fourth


@compiled
def anchored_average(values: FloatArray, day_first: IntArray, alpha: float, lead: int, rows: int) -> FloatArray:
    """Return the exponential average of `values`, restarted `lead` bars before each UTC day.

    Parameters
    ----------
    values : ndarray, shape (m,)
        The newest m of n bars; `Indicators.run_in` says how many are read.
    day_first : ndarray of int64, shape (n,)
        From `day_first_rows`.
    alpha : float
        Weight of the newest value: 2 / (span + 1) for an EMA, 1 / period for Wilder's.
    lead : int
        Bars of run-in before the day's first bar, at least 1.
    rows : int
        How many of the newest rows are wanted.

    Returns
    -------
    ndarray, shape (rows,)
        NaN for days that have fewer than `lead` bars before them.
    """
    n = day_first.shape[0]
    skipped = n - values.shape[0]
    out = np.full(rows, np.nan)
    firsts = np.empty(_TOGETHER, dtype=np.int64)
    averages = np.empty(_TOGETHER)
    row = n - rows
    while row < n:
        # Run-ins of several days side by side: within one, each step waits for the step before.
        days = 0
        begin = row
        while row < n and days < _TOGETHER:
            first = day_first[row]
            while row < n and day_first[row] == first:
                row += 1
            if first - lead >= skipped:
                firsts[days] = first - skipped
                days += 1
        firsts[days:] = firsts[0]
        if days > 0:
            _run_in(values, firsts, alpha, lead, averages)
        for day in range(days):
            average = averages[day]
            until = firsts[day + 1] if day + 1 < days else row - skipped
            for i in range(firsts[day], until):
                average += alpha * (values[i] - average)
                if i + skipped >= begin:
                    out[i + skipped - (n - rows)] = average
    return out


@compiled
def directional_moves(high: FloatArray, low: FloatArray, rows: int) -> tuple[FloatArray, FloatArray]:
    """Return Wilder's +DM and -DM in USD, each of shape (rows,); the first bar has none."""
    n = high.shape[0]
    plus = np.zeros(rows)
    minus = np.zeros(rows)
    for row in range(max(n - rows, 1), n):
        up = high[row] - high[row - 1]
        down = low[row - 1] - low[row]
        if up > down and up > 0.0:
            plus[row - (n - rows)] = up
        elif down > up and down > 0.0:
            minus[row - (n - rows)] = down
    return plus, minus
