"""What a feature is: one row in the table of its room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from novosky.market.bar_arrays import FloatArray
from novosky.market.timeframe import Timeframe

from .indicators import Indicators
from .memory import LostRows, rows_lost

Measure = Callable[[Indicators], FloatArray]


@dataclass(frozen=True)
class FeatureSpec:
    """One column of the feature matrix.

    Attributes
    ----------
    place : int
        Where the column stands in the contract order, from 0. A new feature takes the next one.
    name : str
    warm_up : int, WarmUp or HigherWarmUp
        Rows at the start of a history that are NaN; also the number of earlier bars that
        decide the value of any row. See `rows_lost`.
    neutral : float or None
        The value where the definition has nothing to measure (no range, no volume, no
        move, no calendar); None when that cannot happen.
    definition : str
        One line, with the unit. Distances are in ATR (Wilder's 14-bar average true range),
        fractions are of price, bars are those of the time frame.
    measure : callable
        Returns the newest `Indicators.rows` values, shape (rows,). It may read no more than
        the row and `warm_up` bars before it, and only what is known when the bar has closed.
    protected : bool
        Near zero in training when the calendar is thin, filled at inference: never dropped
        for low importance.
    """

    place: int
    name: str
    warm_up: LostRows
    neutral: float | None
    definition: str
    measure: Measure
    protected: bool = False

    def rows_lost(self, frame: Timeframe) -> int:
        """Return the rows that are NaN at the start of a history of this time frame."""
        return rows_lost(self.warm_up, frame)
