"""Proof by experiment that no column knows the future.

A column is recomputed at a row with the later bars removed, with the later bars replaced
by noise, and from the live window alone. Anything but the value computed from the whole
history is a leak, or a memory longer than the window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from novosky.errors import UsageError

Compute = Callable[[pd.DataFrame], pd.DataFrame]

REMOVED = "future removed"
NOISE = "future replaced by noise"
WINDOW = "live window"


@dataclass(frozen=True)
class Leak:
    """One column that changed at one row.

    Attributes
    ----------
    column : str
    row : int
        Row of the bars given to `find_leaks`.
    time : pandas.Timestamp
        Open of that bar (UTC).
    check : str
        `REMOVED`, `NOISE` or `WINDOW`.
    whole, cut : float
        Value from the whole history and from the altered bars.
    """

    column: str
    row: int
    time: pd.Timestamp
    check: str
    whole: float
    cut: float


def random_rows(bars: int, count: int, window: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw `count` different rows that have a whole live window before and a future after.

    Raises
    ------
    UsageError
        When the bars are too few for that many rows.
    """
    eligible = bars - window
    if count < 1 or eligible < count:
        raise UsageError(
            f"{bars} bars hold {max(eligible, 0)} rows with {window} bars before and a future after, "
            f"{count} were asked for; give more bars or fewer --rows"
        )
    return np.sort(generator.choice(eligible, size=count, replace=False).astype(np.int64) + window - 1)


def replace_future(bars: pd.DataFrame, row: int, generator: np.random.Generator) -> pd.DataFrame:
    """Return a copy of `bars` whose prices and volumes after `row` are noise.

    Stamps stay, so sessions and schedules do. Closes scatter by 5 % around the close of
    `row`, so that no average can hide them and none runs off over years.
    """
    noisy = bars.copy()
    count = len(bars) - row - 1
    start = float(bars["close"].iloc[row])
    close = start * np.exp(generator.normal(0.0, 0.05, count))
    opened = np.concatenate(([start], close[:-1]))[:count]
    reach = 1.0 + generator.uniform(0.0, 0.05, (2, count))
    values = {
        "open": opened,
        "high": np.maximum(opened, close) * reach[0],
        "low": np.minimum(opened, close) / reach[1],
        "close": close,
        "volume": generator.exponential(1e6, count),
    }
    for name, column in values.items():
        noisy[name] = np.concatenate((bars[name].to_numpy(dtype=np.float64)[: row + 1], column))
    return noisy


def find_leaks(
    compute: Compute,
    bars: pd.DataFrame,
    rows: Iterable[int],
    *,
    generator: np.random.Generator,
    window: int | None = None,
    tolerance: float = 1e-9,
    on_row: Callable[[int], None] | None = None,
) -> list[Leak]:
    """Recompute columns at some rows without their future and list those that change.

    Parameters
    ----------
    compute : callable
        Bars to columns, one row per bar; columns that the bars already have are not compared.
    bars : pandas.DataFrame
        Bar frame, n rows.
    rows : iterable of int
        Rows to examine.
    generator : numpy.random.Generator
        Source of the noise.
    window : int, optional
        Bars of the live window; that check is left out when not given, and at rows that
        have fewer bars before them.
    tolerance : float
        Relative difference that counts as equal (absolute below 1).
    on_row : callable, optional
        Told each row when it is done, for progress.

    Returns
    -------
    list of Leak
        Empty when nothing leaks.
    """
    whole = _new_columns(compute(bars), bars)
    names = [str(name) for name in whole.columns]
    leaks: list[Leak] = []
    for row in rows:
        variants = [
            (REMOVED, bars.iloc[: row + 1]),
            (NOISE, replace_future(bars, row, generator)),
        ]
        if window is not None and row + 1 >= window:
            variants.append((WINDOW, bars.iloc[row + 1 - window : row + 1]))
        expected = whole.iloc[row].to_numpy(dtype=np.float64)
        for check, frame in variants:
            columns = _new_columns(compute(frame.reset_index(drop=True)), bars)
            at = row if check == NOISE else len(frame) - 1
            found = columns[names].iloc[at].to_numpy(dtype=np.float64)
            same = np.isclose(found, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
            leaks += [
                Leak(names[k], int(row), bars["time"].iloc[row], check, float(expected[k]), float(found[k]))
                for k in np.flatnonzero(~same)
            ]
        if on_row is not None:
            on_row(int(row))
    return leaks


def _new_columns(columns: pd.DataFrame, bars: pd.DataFrame) -> pd.DataFrame:
    return columns.drop(columns=[name for name in columns.columns if name in bars.columns])
