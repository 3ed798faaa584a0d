"""Compiled measurements over the last `length` bars.

Every kernel takes whole columns and how many of the newest `rows` are wanted: a history asks
for all of them, a live bar for one. Columns end at the newest bar, so a kernel may read a
column that another one has computed for the newest rows only. Rows are independent of each
other, so each has the same bytes however many are asked for.

Every window is summed afresh at each row. Running sums would be faster, but they carry
the rounding of all earlier bars, so a short live window would not reproduce the value of
a long history; a fresh sum gives the same bytes wherever the window lies.
"""

from __future__ import annotations

import math

import numpy as np

from novosky.compiled import compiled
from novosky.market.bar_arrays import FloatArray, IntArray

# Neighbouring rows are summed side by side, each in the order of its own bars: the processor
# adds four at once, and the block's totals stay in its nearest cache.
_BLOCK = 256


@compiled
def window_totals(values: FloatArray, length: int, rows: int) -> FloatArray:
    """Return the sum of the last `length` values, oldest first, shape (rows,); NaN where there are fewer."""
    n = values.shape[0]
    out = np.full(rows, np.nan)
    for block in range(max(n - rows, length - 1), n, _BLOCK):
        size = min(_BLOCK, n - block)
        place = block - (n - rows)
        totals = out[place : place + size]
        totals[:] = 0.0
        for oldest in range(block - length + 1, block + 1):
            newer = values[oldest : oldest + size]
            for i in range(size):
                totals[i] += newer[i]
    return out


@compiled
def rolling_mean(values: FloatArray, length: int, rows: int) -> FloatArray:
    """Return the mean of the last `length` values, shape (rows,); NaN where there are fewer."""
    return window_totals(values, length, rows) / length


@compiled
def rolling_std(values: FloatArray, length: int, rows: int) -> FloatArray:
    """Return the population standard deviation of the last `length` values, shape (rows,)."""
    n = values.shape[0]
    means = window_totals(values, length, rows) / length
    out = np.full(rows, np.nan)
    for block in range(max(n - rows, length - 1), n, _BLOCK):
        size = min(_BLOCK, n - block)
        place = block - (n - rows)
        mean = means[place : place + size]
        squares = out[place : place + size]
        squares[:] = 0.0
        for oldest in range(block - length + 1, block + 1):
            newer = values[oldest : oldest + size]
            for i in range(size):
                # Not squares less the squared mean: the difference of two large numbers would lose its digits.
                squares[i] += (newer[i] - mean[i]) * (newer[i] - mean[i])
    return np.sqrt(out / length)


@compiled
def rolling_max(values: FloatArray, length: int, rows: int) -> FloatArray:
    """Return the greatest of the last `length` values, shape (rows,), in linear time."""
    n = values.shape[0]
    out = np.full(rows, np.nan)
    # The first wanted row already looks back over a whole window.
    begin = max(n - rows - length + 1, 0)
    queue = np.empty(n - begin, dtype=np.int64)
    head = 0
    tail = 0
    for row in range(begin, n):
        # A value that is not above a later one can never be the maximum again.
        while tail > head and not values[queue[tail - 1]] > values[row]:
            tail -= 1
        queue[tail] = row
        tail += 1
        if queue[head] <= row - length:
            head += 1
        if row >= length - 1 and row >= n - rows:
            out[row - (n - rows)] = values[queue[head]]
    return out


@compiled
def change(values: FloatArray, lag: int, rows: int) -> FloatArray:
    """Return ``values[t] - values[t - lag]``, shape (rows,); NaN where nothing lies `lag` rows back."""
    n = values.shape[0]
    out = np.full(rows, np.nan)
    for row in range(max(n - rows, lag), n):
        out[row - (n - rows)] = values[row] - values[row - lag]
    return out


@compiled
def relative_change(values: FloatArray, lag: int, rows: int) -> FloatArray:
    """Return ``values[t] / values[t - lag] - 1``, shape (rows,); NaN where nothing lies `lag` rows back."""
    n = values.shape[0]
    out = np.full(rows, np.nan)
    for row in range(max(n - rows, lag), n):
        out[row - (n - rows)] = values[row] / values[row - lag] - 1.0
    return out


@compiled
def log_return(close: FloatArray, lag: int, rows: int) -> FloatArray:
    """Return ``ln(close[t] / close[t - lag])``, shape (rows,); NaN where nothing lies `lag` rows back."""
    n = close.shape[0]
    out = np.full(rows, np.nan)
    for row in range(max(n - rows, lag), n):
        out[row - (n - rows)] = math.log(close[row] / close[row - lag])
    return out


@compiled
def true_range(high: FloatArray, low: FloatArray, close: FloatArray, rows: int) -> FloatArray:
    """Return Wilder's true range in USD, shape (rows,); the first bar has only its own range."""
    n = high.shape[0]
    out = np.empty(rows)
    for row in range(n - rows, n):
        top = high[row]
        bottom = low[row]
        if row > 0:
            top = max(top, close[row - 1])
            bottom = min(bottom, close[row - 1])
        out[row - (n - rows)] = top - bottom
    return out


@compiled
def path_efficiency(close: FloatArray, length: int, rows: int) -> FloatArray:
    """Return the signed efficiency ratio in [-1, 1]: net move over the sum of single moves.

    Kaufman's efficiency ratio with the direction kept; 0 where price did not move at all.
    """
    n = close.shape[0]
    paths = window_totals(np.abs(close[1:] - close[:-1]), length, min(rows, n - 1))
    out = np.full(rows, np.nan)
    for row in range(max(n - rows, length), n):
        path = paths[row - n]
        out[row - (n - rows)] = (close[row] - close[row - length]) / path if path > 0.0 else 0.0
    return out


@compiled
def range_share(values: FloatArray, low: FloatArray, high: FloatArray, length: int, rows: int) -> FloatArray:
    """Return where `values` lies between the least `low` and greatest `high` of `length` rows.

    0 at the bottom, 1 at the top, 0.5 where the range is zero. Shape (rows,).
    """
    n = values.shape[0]
    out = np.full(rows, np.nan)
    bottom = np.empty(_BLOCK)
    top = np.empty(_BLOCK)
    for block in range(max(n - rows, length - 1), n, _BLOCK):
        size = min(_BLOCK, n - block)
        bottom[:size] = low[block : block + size]
        top[:size] = high[block : block + size]
        for oldest in range(block - length + 1, block):
            lows = low[oldest : oldest + size]
            highs = high[oldest : oldest + size]
            for i in range(size):
                bottom[i] = min(bottom[i], lows[i])
                top[i] = max(top[i], highs[i])
        for i in range(size):
            span = top[i] - bottom[i]
            out[block + i - (n - rows)] = (values[block + i] - bottom[i]) / span if span > 0.0 else 0.5
    return out


@compiled
def day_range_share(close: FloatArray, low: FloatArray, high: FloatArray, day_first: IntArray, rows: int) -> FloatArray:
    """Return where the close lies in the UTC day's range so far (0 low, 1 high, 0.5 no range), shape (rows,)."""
    n = close.shape[0]
    out = np.empty(rows)
    bottom = 0.0
    top = 0.0
    # The day of the first wanted row has begun before it.
    for row in range(day_first[n - rows], n):
        if day_first[row] == row:
            bottom = low[row]
            top = high[row]
        else:
            bottom = min(bottom, low[row])
            top = max(top, high[row])
        if row >= n - rows:
            span = top - bottom
            out[row - (n - rows)] = (close[row] - bottom) / span if span > 0.0 else 0.5
    return out


@compiled
def run_length(direction: FloatArray, cap: int, rows: int) -> FloatArray:
    """Return how many rows in a row share this row's sign, signed and capped at `cap`, shape (rows,).

    The cap is what makes the count a matter of the last `cap` bars alone.
    """
    n = direction.shape[0]
    out = np.zeros(rows)
    for row in range(n - rows, n):
        # A bar that closes where it opened belongs to no run.
        if direction[row] == 0.0:
            continue
        count = 1
        while count < cap and row - count >= 0 and direction[row - count] == direction[row]:
            count += 1
        out[row - (n - rows)] = direction[row] * count
    return out


@compiled
def squashed_mean(first: FloatArray, second: FloatArray, third: FloatArray) -> FloatArray:
    """Return the mean of the hyperbolic tangents of three columns, shape (n,), in (-1, 1)."""
    n = first.shape[0]
    out = np.empty(n)
    for row in range(n):
        out[row] = (math.tanh(first[row]) + math.tanh(second[row]) + math.tanh(third[row])) / 3.0
    return out
