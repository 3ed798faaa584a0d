"""Compiled measurements over the last `length` bars.

Every window is summed afresh at each row. Running sums would be faster, but they carry
the rounding of all earlier bars, so a short live window would not reproduce the value of
a long history; a fresh sum gives the same bytes wherever the window lies.
"""

from __future__ import annotations

import math

import numpy as np

from novosky.compiled import compiled

from .bar_arrays import FloatArray, IntArray


@compiled
def rolling_mean(values: FloatArray, length: int) -> FloatArray:
    """Return the mean of the last `length` values, shape (n,); NaN before there are as many."""
    n = values.shape[0]
    out = np.full(n, np.nan)
    for row in range(length - 1, n):
        total = 0.0
        for i in range(row - length + 1, row + 1):
            total += values[i]
        out[row] = total / length
    return out


@compiled
def rolling_std(values: FloatArray, length: int) -> FloatArray:
    """Return the population standard deviation of the last `length` values, shape (n,)."""
    n = values.shape[0]
    out = np.full(n, np.nan)
    for row in range(length - 1, n):
        total = 0.0
        for i in range(row - length + 1, row + 1):
            total += values[i]
        mean = total / length
        squares = 0.0
        for i in range(row - length + 1, row + 1):
            squares += (values[i] - mean) * (values[i] - mean)
        out[row] = math.sqrt(squares / length)
    return out


@compiled
def rolling_max(values: FloatArray, length: int) -> FloatArray:
    """Return the greatest of the last `length` values, shape (n,), in linear time."""
    n = values.shape[0]
    out = np.full(n, np.nan)
    queue = np.empty(n, dtype=np.int64)
    head = 0
    tail = 0
    for row in range(n):
        # A value that is not above a later one can never be the maximum again.
        while tail > head and not values[queue[tail - 1]] > values[row]:
            tail -= 1
        queue[tail] = row
        tail += 1
        if queue[head] <= row - length:
            head += 1
        if row >= length - 1:
            out[row] = values[queue[head]]
    return out


@compiled
def change(values: FloatArray, lag: int) -> FloatArray:
    """Return ``values[t] - values[t - lag]``, shape (n,); NaN in the first `lag` rows."""
    n = values.shape[0]
    out = np.full(n, np.nan)
    for row in range(lag, n):
        out[row] = values[row] - values[row - lag]
    return out


@compiled
def relative_change(values: FloatArray, lag: int) -> FloatArray:
    """Return ``values[t] / values[t - lag] - 1``, shape (n,); NaN in the first `lag` rows."""
    n = values.shape[0]
    out = np.full(n, np.nan)
    for row in range(lag, n):
        out[row] = values[row] / values[row - lag] - 1.0
    return out


@compiled
def log_return(close: FloatArray, lag: int) -> FloatArray:
    """Return ``ln(close[t] / close[t - lag])``, shape (n,); NaN in the first `lag` rows."""
    n = close.shape[0]
    out = np.full(n, np.nan)
    for row in range(lag, n):
        out[row] = math.log(close[row] / close[row - lag])
    return out


@compiled
def true_range(high: FloatArray, low: FloatArray, close: FloatArray) -> FloatArray:
    """Return Wilder's true range in USD, shape (n,); the first bar has only its own range."""
    n = high.shape[0]
    out = np.empty(n)
    for row in range(n):
        top = high[row]
        bottom = low[row]
        if row > 0:
            top = max(top, close[row - 1])
            bottom = min(bottom, close[row - 1])
        out[row] = top - bottom
    return out


@compiled
def path_efficiency(close: FloatArray, length: int) -> FloatArray:
    """Return the signed efficiency ratio in [-1, 1]: net move over the sum of single moves.

    Kaufman's efficiency ratio with the direction kept; 0 where price did not move at all.
    """
    n = close.shape[0]
    out = np.full(n, np.nan)
    for row in range(length, n):
        path = 0.0
        for i in range(row - length + 1, row + 1):
            path += abs(close[i] - close[i - 1])
        out[row] = (close[row] - close[row - length]) / path if path > 0.0 else 0.0
    return out


@compiled
def range_share(values: FloatArray, low: FloatArray, high: FloatArray, length: int) -> FloatArray:
    """Return where `values` lies between the least `low` and greatest `high` of `length` rows.

    0 at the bottom, 1 at the top, 0.5 where the range is zero. Shape (n,).
    """
    n = values.shape[0]
    out = np.full(n, np.nan)
    for row in range(length - 1, n):
        bottom = low[row]
        top = high[row]
        for i in range(row - length + 1, row):
            bottom = min(bottom, low[i])
            top = max(top, high[i])
        span = top - bottom
        out[row] = (values[row] - bottom) / span if span > 0.0 else 0.5
    return out


@compiled
def day_range_share(close: FloatArray, low: FloatArray, high: FloatArray, day_first: IntArray) -> FloatArray:
    """Return where the close lies in the UTC day's range so far (0 low, 1 high, 0.5 no range)."""
    n = close.shape[0]
    out = np.empty(n)
    bottom = 0.0
    top = 0.0
    for row in range(n):
        if day_first[row] == row:
            bottom = low[row]
            top = high[row]
        else:
            bottom = min(bottom, low[row])
            top = max(top, high[row])
        span = top - bottom
        out[row] = (close[row] - bottom) / span if span > 0.0 else 0.5
    return out


@compiled
def run_length(direction: FloatArray, cap: int) -> FloatArray:
    """Return how many rows in a row share this row's sign, signed and capped at `cap`.

    The cap is what makes the count a matter of the last `cap` bars alone.
    """
    n = direction.shape[0]
    out = np.zeros(n)
    for row in range(n):
        if direction[row] == 0.0:
            continue
        count = 1
        while count < cap and row - count >= 0 and direction[row - count] == direction[row]:
            count += 1
        out[row] = direction[row] * count
    return out


@compiled
def squashed_mean(first: FloatArray, second: FloatArray, third: FloatArray) -> FloatArray:
    """Return the mean of the hyperbolic tangents of three columns, shape (n,), in (-1, 1)."""
    n = first.shape[0]
    out = np.empty(n)
    for row in range(n):
        out[row] = (math.tanh(first[row]) + math.tanh(second[row]) + math.tanh(third[row])) / 3.0
    return out
